// An application of NestJS that does one thing on timers: `nest-app.js THING`, with its keys below KEY.

import "reflect-metadata";
import { Injectable, Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { Cron, Interval, ScheduleModule } from "@nestjs/schedule";
import { currentLease, Exclusive, LeaselockModule } from "leaselock/nest";
import { REDIS_URL, redis, work } from "./beats.js";

const KEY = process.env["KEY"] as string;
const TTL = Number(process.env["TTL"] ?? 30_000);
const WORK = Number(process.env["WORK"] ?? 60);

@Injectable()
class Often {
  @Interval(20)
  @Exclusive("often", { ttl: TTL })
  async often(): Promise<void> {
    await work(`${KEY}:often`, WORK, currentLease().signal);
  }
}

@Injectable()
class Ticks {
  @Cron("*/2 * * * * *")
  @Exclusive("above", { minHold: 1_300 })
  async above(): Promise<void> {
    await tick("above");
  }

  @Exclusive("below", { minHold: 1_300 })
  @Cron("*/2 * * * * *")
  async below(): Promise<void> {
    await tick("below");
  }
}

/** Notes down for which turn of the clock this is. */
async function tick(which: string): Promise<void> {
  await redis.rpush(`${KEY}:${which}`, Math.round(Date.now() / 2_000));
}

const things = { Often, Ticks };

@Module({
  imports: [ScheduleModule.forRoot(), LeaselockModule.forRoot({ url: REDIS_URL, appId: KEY })],
  providers: [things[process.argv[2] as keyof typeof things]],
})
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ["error", "warn"] });
  app.enableShutdownHooks();
  console.log("ready");
}

void main();

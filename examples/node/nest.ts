// NestJS: a report that one instance of the application writes, and orders that are shipped one at a time.
import { setTimeout as sleep } from "node:timers/promises";
import { Injectable, Logger, Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { Cron, CronExpression, ScheduleModule } from "@nestjs/schedule";
import { currentLease, Exclusive, LeaselockModule } from "leaselock/nest";

@Injectable()
export class Jobs {
  readonly #logger = new Logger(Jobs.name);

  // Every instance has its timer. The clocks differ by less than two seconds, so none writes it a second time.
  @Cron(CronExpression.EVERY_5_SECONDS)
  @Exclusive("report", { minHold: 2_000 })
  async report(): Promise<void> {
    const { token, signal } = currentLease();
    this.#logger.log(`writing the report, token ${token}`);
    await sleep(100, undefined, { signal }); // the work, aborted at once if the lease is lost
  }

  // Who comes second waits, for ten seconds at most.
  @Exclusive((order: number) => `order-${order}`, { onBusy: "wait", wait: 10_000 })
  async ship(order: number): Promise<string> {
    await sleep(100);
    return `order ${order} is shipped, token ${currentLease().token}`;
  }
}

@Module({
  imports: [ScheduleModule.forRoot(), LeaselockModule.forRoot({ appId: "shop" })], // the store is in LEASELOCK_URL
  providers: [Jobs],
})
export class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule);
  app.enableShutdownHooks(); // at SIGTERM, jobs come to their end under their locks
  new Logger().log(await app.get(Jobs).ship(7));
}

void main();

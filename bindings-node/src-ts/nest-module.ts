// The module for NestJS: a client for an application, closed at its end.

import type { DynamicModule, FactoryProvider, ModuleMetadata } from "@nestjs/common";
import { Client } from "./client.js";
import { LeaselockRuns } from "./nest-runs.js";
import type { ClientOptions } from "./types.js";

/** How the client of {@link LeaselockModule} is made. */
export type LeaselockModuleOptions = ClientOptions & {
  /**
   * Where the store is, as the constructor of {@link Client} takes it.
   *
   * @defaultValue the environment variable `LEASELOCK_URL`
   */
  url?: string | undefined;
};

/** Where {@link LeaselockModule} can be used. */
export interface LeaselockModuleScope {
  /**
   * Whether every module has the {@link Client} and {@link Exclusive}, and not only those that import this one.
   *
   * @defaultValue `true`
   */
  isGlobal?: boolean | undefined;
}

/** {@link LeaselockModuleOptions} that a function makes, of what is injected into it. */
export interface LeaselockModuleAsyncOptions extends LeaselockModuleScope, Pick<ModuleMetadata, "imports"> {
  /** Makes the options, from what `inject` names. */
  useFactory: FactoryProvider<LeaselockModuleOptions>["useFactory"];
  /** What is handed to `useFactory`. */
  inject?: FactoryProvider["inject"];
}

/**
 * Provides one {@link Client} for the application, to be injected by its class, and what {@link Exclusive} needs.
 *
 * When the application is closed, no method that skips is begun and nothing waits for a lock any more, methods under
 * {@link Exclusive} come to their end under their leases, and the client is closed. For signals that takes
 * `app.enableShutdownHooks()`.
 *
 * @example
 * ```ts
 * @Module({ imports: [LeaselockModule.forRoot({ url: "redis://localhost:6379", appId: "shop" })] })
 * export class AppModule {}
 * ```
 */
// biome-ignore lint/complexity/noStaticOnlyClass: Nest tells modules apart by their classes.
export class LeaselockModule {
  /**
   * The module with these options.
   *
   * @param given Where the store is, and how to talk to it; {@link LeaselockModuleScope.isGlobal} besides.
   * @returns What goes into `imports`.
   */
  static forRoot(given: LeaselockModuleOptions & LeaselockModuleScope = {}): DynamicModule {
    const { isGlobal, ...moduleOptions } = given;
    return LeaselockModule.forRootAsync({ isGlobal, useFactory: () => moduleOptions });
  }

  /**
   * The module with options that a function makes.
   *
   * @param given The function, and what is injected into it.
   * @returns What goes into `imports`.
   *
   * @example
   * ```ts
   * LeaselockModule.forRootAsync({
   *   inject: [ConfigService],
   *   useFactory: (config: ConfigService) => ({ url: config.getOrThrow("REDIS_URL"), appId: "shop" }),
   * })
   * ```
   */
  static forRootAsync(given: LeaselockModuleAsyncOptions): DynamicModule {
    const client = async (...injected: unknown[]) => {
      const { url, ...clientOptions } = await given.useFactory(...injected);
      return new Client(url, clientOptions);
    };
    return {
      module: LeaselockModule,
      global: given.isGlobal ?? true,
      imports: given.imports ?? [],
      providers: [
        { provide: Client, useFactory: client, inject: given.inject ?? [] },
        { provide: LeaselockRuns, useFactory: (made: Client) => new LeaselockRuns(made), inject: [Client] },
      ],
      exports: [Client, LeaselockRuns],
    };
  }
}

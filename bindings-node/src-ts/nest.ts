/// <reference lib="esnext.disposable" preserve="true" />
/**
 * leaselock in an application of NestJS 10 to 12: {@link LeaselockModule} provides a `Client` and closes it at the
 * application's end, {@link Exclusive} makes a method run in one place at a time.
 *
 * @module leaselock/nest
 */

export { currentLease, Exclusive, type ExclusiveOptions } from "./nest-exclusive.js";
export {
  LeaselockModule,
  type LeaselockModuleAsyncOptions,
  type LeaselockModuleOptions,
  type LeaselockModuleScope,
} from "./nest-module.js";

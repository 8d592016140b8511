/** next.config.mjs: the package holds an addon, so Next takes it along as it is. */
export default { serverExternalPackages: ["leaselock"] };

// Fastify: one checkout at a time for each cart. Who comes meanwhile gets 423 Locked.
import { setTimeout as sleep } from "node:timers/promises";
import fastify from "fastify";
import { Client } from "leaselock";

const client = new Client();

/** Holds a lock until the response is finished or the client has hung up. */
const exclusive = (name) => async (request, reply) => {
  const lease = await client.tryAcquire(name(request), { ttl: 10_000 });
  if (lease === null) {
    return reply.code(423).header("Retry-After", "1").send({ error: "somebody else is at it" });
  }
  const gone = new AbortController();
  const end = () => {
    gone.abort(new Error("the client has hung up")); // after a response nobody listens any more
    lease.release().catch((error) => request.log.warn(`not released, free within 10 s: ${error}`));
  };
  reply.raw.closed ? end() : reply.raw.once("close", end);
  request.lock = { token: lease.token, signal: AbortSignal.any([lease.signal, gone.signal]) };
};

const app = fastify();
app.decorateRequest("lock", null);
app.addHook("onClose", () => client.close()); // once the last response is finished
app.post(
  "/carts/:id/checkout",
  { preHandler: exclusive((request) => `cart-${request.params.id}`) },
  async (request) => {
    const { token, signal } = request.lock;
    await sleep(500, undefined, { signal }); // the work: it ends when the lock does
    return { cart: request.params.id, token };
  },
);

await app.listen({ port: Number(process.env.PORT ?? 3000) });
console.log(`listens at port ${app.server.address().port}`);
process.once("SIGTERM", () => app.close());

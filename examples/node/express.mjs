// Express: one checkout at a time for each cart. Who comes meanwhile gets 423 Locked.
import { setTimeout as sleep } from "node:timers/promises";
import express from "express";
import { Client } from "leaselock";

const client = new Client();

/** Holds a lock until the response is finished or the client has hung up. */
const exclusive = (name) => async (request, response, next) => {
  try {
    const lease = await client.tryAcquire(name(request), { ttl: 10_000 });
    if (lease === null) {
      return response.set("Retry-After", "1").status(423).json({ error: "somebody else is at it" });
    }
    const gone = new AbortController();
    const end = () => {
      gone.abort(new Error("the client has hung up")); // after a response nobody listens any more
      lease.release().catch((error) => console.warn(`not released, free within 10 s: ${error}`));
    };
    response.closed ? end() : response.once("close", end);
    response.locals.token = lease.token;
    response.locals.signal = AbortSignal.any([lease.signal, gone.signal]);
    next();
  } catch (error) {
    next(error); // the store is out of reach: a 500, and nothing was done
  }
};

const app = express();
app.post(
  "/carts/:id/checkout",
  exclusive((request) => `cart-${request.params.id}`),
  async (request, response, next) => {
    try {
      const { token, signal } = response.locals;
      await sleep(500, undefined, { signal }); // the work: it ends when the lock does
      response.json({ cart: request.params.id, token });
    } catch (error) {
      next(error);
    }
  },
);

const server = app.listen(process.env.PORT ?? 3000, () => console.log(`listens at port ${server.address().port}`));
process.once("SIGTERM", () => server.close(() => client.close())); // once the last response is finished

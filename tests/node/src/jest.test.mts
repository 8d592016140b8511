// Jest, which loads the package anew for each file of tests and on demand, in one process, and replaces what it is told to.

import assert from "node:assert/strict";
import { tried } from "./support/package.mjs";
import { servers } from "./support/servers.mjs";
import { project, test, tool } from "./support/toolchains.mjs";

const TESTS = `
const { Client, Lease, LeaselockError, LockTimeoutError } = require("leaselock");
const url = process.env.STORE_URL;
const name = "job-" + process.env.JEST_WORKER_ID + "-" + Math.random();
let client;
beforeAll(() => { client = new Client(url); });
afterAll(() => client.close());

test("takes and gives back", async () => {
  expect(await client.using(name, (lease) => lease instanceof Lease && lease.held)).toBe(true);
});

test("errors have their classes", async () => {
  await client.using(name, async (lease) => {
    await expect(client.acquire(name, { wait: 5 })).rejects.toThrow(LockTimeoutError);
    await expect(client.acquire(name, { wait: 5 })).rejects.toBeInstanceOf(Error);
    await expect(client.acquire(name, { wait: -5 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    lease.signal.addEventListener("abort", () => {});
  });
});

test("errors keep their classes when the package is loaded again", async () => {
  jest.resetModules();
  const again = require("leaselock");
  expect(again.LockTimeoutError).not.toBe(LockTimeoutError);
  const other = new again.Client(url);
  await client.using(name, async () => {
    await expect(client.acquire(name, { wait: 5 })).rejects.toThrow(again.LockTimeoutError);
    await expect(other.acquire(name, { wait: 5 })).rejects.toThrow(LockTimeoutError);
    await expect(other.acquire(name, { wait: 5 })).rejects.not.toBeInstanceOf(again.LeaseLostError);
    expect(new TypeError("other")).not.toBeInstanceOf(LeaselockError);
  });
  await other.close();
});

test("a method is replaced on an instance, and put back", async () => {
  const spy = jest.spyOn(client, "acquire");
  await client.using(name, () => {});
  expect(spy).toHaveBeenCalledTimes(1);
  spy.mockResolvedValue({ release: jest.fn() });
  expect(await client.using(name, (lease) => lease.release.mock.calls.length)).toBe(0);
  expect((await spy.mock.results[1].value).release).toHaveBeenCalledTimes(1);
  spy.mockRestore();
  expect(await client.using(name, (lease) => lease.held)).toBe(true);
});

test("is shown in a report", async () => {
  await client.using(name, (lease) => {
    expect({ ...{ client, lease } }).toEqual({ client, lease });
    expect(JSON.stringify({ lease })).toContain(name);
  });
});
`;

const AUTOMOCK = `
jest.mock("leaselock");
const { Client, Lease } = require("leaselock");
test("is mocked as a whole", async () => {
  const client = new Client("redis://nobody");
  client.acquire.mockResolvedValue("lease");
  expect(await client.acquire("name")).toBe("lease");
  expect(client).toBeInstanceOf(Client);
  expect(Lease.prototype.release).toBeDefined();
});
`;

test("field bug 69: jest runs files of tests in one process, loads the package again, spies on it and mocks it", async () => {
  const folder = await project({ "one.test.js": TESTS, "two.test.js": TESTS, "mock.test.js": AUTOMOCK });
  const args = [tool("jest", "bin", "jest.js"), "--rootDir", folder, "--runInBand", "--no-cache", "--ci"];
  for (const STORE_URL of [servers[0]?.url, "memory:jest"]) {
    const { ok, stderr } = await tried(process.execPath, args, folder, { STORE_URL });
    assert.ok(ok, stderr);
    assert.match(stderr, /Tests: +11 passed, 11 total/);
    assert.doesNotMatch(stderr, /did not exit|Warning/);
  }
});

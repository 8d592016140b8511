// Opens every page of site/ in a browser, 1280 and 380 px wide, light and dark: nothing may be wider than the window, nothing may be
// fetched from elsewhere, no script may fail. Pictures of all are in target/docs-look.

import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const SITE = join(dirname(fileURLToPath(import.meta.url)), "../../site");
const PICTURES = join(SITE, "../target/docs-look");
const TYPES = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".svg": "image/svg+xml",
};
const WIDTHS = [1280, 380];
const SCHEMES = ["light", "dark"];

/** The site on a free port of this machine. */
async function serve() {
  const server = createServer(async (request, response) => {
    const path = join(SITE, normalize(decodeURIComponent(new URL(request.url, "http://x").pathname)));
    try {
      const file = path.endsWith("/") ? join(path, "index.html") : path;
      const body = await readFile(file);
      response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return server;
}

/** All pages, and of each reference that tools make the first. */
async function pages() {
  const files = await readdir(SITE, { recursive: true });
  const own = files.filter((file) => file.endsWith("index.html") && !file.startsWith("reference/"));
  return [...own.sort(), "reference/node/index.html", "reference/rust/leaselock/index.html"];
}

/** What in a page is wider than it may be: the page itself, or a picture; tables and code scroll by themselves. */
function tooWide() {
  const width = document.documentElement.clientWidth;
  const found = [];
  const scrolled = document.scrollingElement.scrollWidth;
  if (scrolled > width) found.push(`the page is ${scrolled} px wide`);
  const scrolls = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const { overflowX } = getComputedStyle(e);
      if (overflowX === "auto" || overflowX === "scroll") return true;
      if (overflowX === "hidden" && e !== document.body) return e.closest("article") === null;
    }
    return false;
  };
  for (const element of document.querySelectorAll("article *")) {
    const { right, width: wide } = element.getBoundingClientRect();
    if (wide > 0 && right > width + 1 && !scrolls(element)) {
      found.push(`<${element.localName}> ends at ${Math.round(right)} px: ${element.textContent.slice(0, 60).trim()}`);
    }
  }
  for (const image of document.images) {
    if (!image.complete || image.naturalWidth === 0) found.push(`no picture: ${image.src}`);
  }
  return found;
}

const server = await serve();
const base = `http://127.0.0.1:${server.address().port}/`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
await rm(PICTURES, { recursive: true, force: true });
await mkdir(PICTURES, { recursive: true });
const faults = [];
let looked = 0;
for (const width of WIDTHS) {
  for (const colorScheme of SCHEMES) {
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
    const page = await context.newPage();
    let where = "";
    page.on("pageerror", (error) => faults.push(`${where}: ${error.message}`));
    page.on("request", (request) => {
      if (!request.url().startsWith(base) && !request.url().startsWith("data:")) {
        faults.push(`${where}: fetches ${request.url()}`);
      }
    });
    page.on("response", (response) => {
      if (response.status() >= 400) faults.push(`${where}: ${response.status()} for ${response.url()}`);
    });
    for (const file of await pages()) {
      where = `${file} at ${width} px, ${colorScheme}`;
      await page.goto(base + file, { waitUntil: "load" });
      await page.waitForTimeout(100);
      faults.push(...(await page.evaluate(tooWide)).map((fault) => `${where}: ${fault}`));
      const name = relative(".", dirname(file)).replaceAll("/", "-") || "home";
      await page.screenshot({ path: join(PICTURES, `${name}-${width}-${colorScheme}.png`), fullPage: true });
      looked++;
    }
    await context.close();
  }
}
await browser.close();
server.close();
for (const fault of new Set(faults)) console.log(fault);
console.log(`looked at ${looked} pages: ${new Set(faults).size} faults; pictures are in target/docs-look`);
process.exitCode = faults.length > 0 || looked === 0 ? 1 : 0;

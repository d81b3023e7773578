// Visits a hostile function with a browser that is signed in to the platform, and prints as JSON what its page got, and
// what is left of the platform's own state. Usage: attack.mjs PLATFORM_URL FUNCTION_URL
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [platform, hostile] = process.argv.slice(2);
// A bound for a machine with other work; each step takes well under a second.
const PATIENCE = 120_000;
const url = `${hostile}?platform=${encodeURIComponent(platform)}`;
// A page of the platform's origin that restricts nothing of what is put into it.
const own = `${platform}/health`;

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  chromiumSandbox: process.getuid() !== 0,
});

// A browser of somebody who is signed in, with a page of the platform's. Its cookie is set as auth will set it.
async function signedIn() {
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE);
  // A secure cookie is set over https; it is sent to localhost over http as well.
  const about = { url: platform.replace("http:", "https:"), secure: true, sameSite: "Lax" };
  await context.addCookies([
    { ...about, name: "__Host-slipway_access", value: "planted", httpOnly: true },
    { ...about, name: "readable", value: "planted", httpOnly: false },
  ]);
  const page = await context.newPage();
  await page.goto(own);
  await page.evaluate(async () => {
    localStorage.setItem("planted", "planted");
    await new Promise((resolve, reject) => {
      const opening = indexedDB.open("planted");
      opening.onsuccess = resolve;
      opening.onerror = reject;
    });
  });
  return { context, page };
}

// What the hostile page reported, or shows where its script did not run; then its button is pressed.
async function findings(page) {
  await page.waitForLoadState();
  const shown = page.locator("#findings");
  let text = await shown.textContent();
  // Its script begins before the page is loaded, or never.
  if (text === "a script runs") {
    await page.locator("#findings", { hasText: "{" }).waitFor();
    text = await shown.textContent();
  }
  await page.locator("button").click();
  return text.startsWith("{") ? JSON.parse(text) : text;
}

// What the platform's own origin has now, and what was sent to it.
async function state({ context }) {
  const page = await context.newPage();
  await page.goto(own);
  const left = await page.evaluate(async () => ({
    storage: { ...localStorage },
    databases: (await indexedDB.databases()).map((database) => database.name),
    workers: (await navigator.serviceWorker.getRegistrations()).map((worker) => worker.scope),
  }));
  const cookies = Object.fromEntries((await context.cookies(own)).map((cookie) => [cookie.name, cookie.value]));
  return { ...left, cookies };
}

// Remembers the forms that were posted to the platform, and with which cookies.
function listen(context, posted) {
  context.on("request", async (request) => {
    if (request.method() !== "POST" || !request.url().startsWith(platform)) return;
    const { cookie = null, origin = null } = await request.allHeaders().catch(() => ({}));
    posted.push({ cookie, origin });
  });
}

// Visits the page in one way, in a browser of its own.
async function visit(way) {
  const visitor = await signedIn();
  const posted = [];
  listen(visitor.context, posted);
  const found = await findings(await way(visitor));
  const left = await state(visitor);
  await visitor.context.close();
  return { findings: found, posted, left };
}

const ways = {
  alone: async ({ context }) => {
    const page = await context.newPage();
    await page.goto(url);
    return page;
  },
  opened: async ({ context, page }) => {
    const [popup] = await Promise.all([context.waitForEvent("page"), page.evaluate((url) => void window.open(url), url)]);
    return popup;
  },
  framed: async ({ page }) => {
    await page.evaluate((url) => {
      const frame = document.createElement("iframe");
      frame.src = url;
      document.body.append(frame);
    }, url);
    const frame = await page.waitForSelector(`iframe[src="${url}"]`);
    return frame.contentFrame();
  },
  // The same page as one of the platform's: what the others must not be able to do.
  trusted: async ({ context }) => {
    const page = await context.newPage();
    const body = readFileSync(new URL("hostile/page.html", import.meta.url), "utf8").replaceAll("PLATFORM", platform);
    await page.goto(own);
    await page.setContent(body);
    return page;
  },
};

try {
  const report = {};
  for (const [name, way] of Object.entries(ways)) report[name] = await visit(way);
  console.log(JSON.stringify(report));
} finally {
  await browser.close();
}

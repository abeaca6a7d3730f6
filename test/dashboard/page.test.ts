import { describe, expect, test } from "bun:test";
import { listenClient } from "../../runtimes/shared/listen-node.ts";
import { utf8Encode } from "../../src/core/bytes.ts";
import { dashboardPage } from "../../src/dashboard/page.ts";
import { dotOf, siblingOf } from "../support/arbitraries.ts";
import { type BrowserPage, CHROMIUM, openPage } from "../support/chromium.ts";
import { createHttpWorld } from "../support/http-world.ts";

const { html, script } = dashboardPage();

describe("the dashboard's page", () => {
  test("has a script that parses and ends no element early", () => {
    expect(() => new Function(script)).not.toThrow();
    expect(script).not.toContain("</");
    expect(html.split("<script>")[1]?.split("</script>")[0]).toBe(script);
  });

  test("has every element that its script asks for, once", () => {
    const asked = new Set([...script.matchAll(/\$\("([\w-]+)"\)/g)].map((match) => match[1]));
    expect(asked.size).toBeGreaterThan(20);
    for (const id of asked) expect(html.split(` id="${id}"`)).toHaveLength(2);
  });

  test("puts text into the page only as text", () => {
    expect(script).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/);
  });
});

// The listener is Node's; a browser is the same whoever serves it.
const isNode = !("Bun" in globalThis || "Deno" in globalThis);

describe.skipIf(CHROMIUM === undefined || !isNode)("the dashboard in Chromium", () => {
  test("lists, shows siblings, resolves them, deletes only when told twice, and keeps to its own policy", async () => {
    const world = await createHttpWorld();
    for (const actor of [10, 11]) {
      const dot = dotOf(actor, 0, 1);
      const value = utf8Encode(`writer ${actor}`);
      const sibling = siblingOf(dot, { value, valueBytes: value.length });
      world.service.merge(world.key("../<b>"), { context: [dot], siblings: [sibling] });
    }
    const listener = await listenClient({
      host: "127.0.0.1",
      port: 0,
      bodyBytesMax: 1_000_000,
      fetch: (request, info) => world.app.fetch(request, info),
    });
    const page = await openPage(`${listener.url}/`);
    try {
      await resolveSiblings(page);
      await deleteWhenToldTwice(page);
      expect(await page.run("document.getElementById('summary').textContent")).toContain(
        "1 of 2 nodes up",
      );
      expect(page.complaints).toEqual([]);
    } finally {
      await page.close();
      await listener.close(0);
    }
    expect(world.service.puts.map((put) => put.context?.entries.length)).toEqual([2, 3]);
  }, 60_000);
});

const press = (selector: string): string =>
  `document.querySelector(${JSON.stringify(selector)}).click()`;
const SHOWN = "document.querySelector('#detail pre')?.textContent";

async function resolveSiblings(page: BrowserPage): Promise<void> {
  expect(await page.until("document.querySelector('#keys .name')?.textContent")).toBe("../<b>");
  await page.run(press("#keys .name"));
  await page.until("document.querySelectorAll('.sibling').length === 2");
  await page.run(press(".sibling button"));
  await page.run("document.getElementById('edit-value').value = 'both'");
  await page.run(press("#edit button.main"));
  await page.until(`${SHOWN} === 'both'`);
  expect(await page.run("document.querySelectorAll('.sibling').length")).toBe(0);
}

async function deleteWhenToldTwice(page: BrowserPage): Promise<void> {
  await page.run(press("#detail .danger"));
  await page.until("document.getElementById('confirm').open");
  const closed =
    "document.getElementById('confirm').addEventListener('close', resolve, { once: true })";
  const keep = press("#confirm button:not(.danger)");
  await page.run(`new Promise((resolve) => { ${closed}; ${keep}; }).then(() => true)`);
  expect(await page.run(SHOWN)).toBe("both");
  await page.run(press("#detail .danger"));
  await page.until("document.getElementById('confirm').open");
  await page.run(press("#confirm .danger"));
  await page.until("document.getElementById('detail').textContent.includes('no value')");
}

import { expect, test } from "bun:test";
import { createResponder } from "../../runtimes/shared/respond-bun.ts";

const ANSWERS: readonly {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}[] = [
  { status: 200, headers: { etag: '"a"', vary: "Accept", "gyre-siblings": "1" } },
  { status: 200, headers: { etag: '"b"', vary: "Accept", "gyre-siblings": "1" } },
  { status: 200, headers: { etag: '"a"', vary: "Accept", "gyre-siblings": "1" } },
  {
    status: 200,
    headers: { vary: "Accept", "access-control-allow-origin": "https://a.example", etag: '"b"' },
  },
  { status: 404, headers: { "content-type": "application/problem+json" } },
  { status: 200, headers: { "gyre-siblings": "2" } },
  { status: 200, headers: {} },
  { status: 200, headers: { etag: '"a"' } },
];

function entries(headers: Headers): string[] {
  return [...headers].map(([name, value]) => `${name}: ${value}`).sort();
}

test("an answer has its own headers and none of the answers before or after it", async () => {
  const respond = createResponder();
  const made = ANSWERS.map(({ status, headers }) => respond(status, headers, null));
  made[0]?.headers.set("gyre-session", "token");
  ANSWERS.forEach(({ status, headers }, i) => {
    const response = made[i] as Response;
    expect(response.status).toBe(status);
    const own = i === 0 ? { ...headers, "gyre-session": "token" } : headers;
    expect(entries(response.headers)).toEqual(entries(new Headers(own)));
  });
  expect(await respond(200, {}, "text").text()).toBe("text");
  expect(new Uint8Array(await respond(200, {}, Uint8Array.of(255)).arrayBuffer())).toEqual(
    Uint8Array.of(255),
  );
});

test("a value that no header may have is refused and changes no later answer", () => {
  const respond = createResponder();
  respond(200, { etag: '"a"' }, null);
  expect(() => respond(200, { vary: "Accept", etag: "a\r\nb: c" }, null)).toThrow(TypeError);
  expect(entries(respond(200, { etag: '"a"' }, null).headers)).toEqual(['etag: "a"']);
});

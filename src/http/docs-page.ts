export function docsPage(_document: Record<string, unknown>): {
  html: string;
  script: string;
  style: string;
} {
  return { html: "<!doctype html><title>Gyre</title>", script: "", style: "" };
}

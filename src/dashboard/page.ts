export function dashboardPage(): { html: string; script: string; style: string } {
  return { html: "<!doctype html><title>Gyre</title>", script: "", style: "" };
}

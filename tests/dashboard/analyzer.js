// The real analyzer, fed by the agents of a small shop (shop_agents.c), and a browser.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { chromium } from "playwright-core";

const DEADLINE_MS = 60_000;

export function launch() {
  return chromium.launch({
    executablePath: process.env.SAGE_CHROMIUM,
    args: [
      "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
    ],
  });
}

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

// Ask until the answer is as wanted.
export async function until(what, ask) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const answer = await ask().catch(() => null);
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await pause(50);
  }
}

export class Analyzer {
  async start() {
    this.data = mkdtempSync(join(tmpdir(), "sage-dashboard-"));
    this.listen = `tcp://127.0.0.1:${await freePort()}`;
    this.http = `127.0.0.1:${await freePort()}`;
    this.url = `http://${this.http}/`;
    await this.run();
    // The past, so that no second has to be waited for; whole windows.
    this.began = Math.floor(Date.now() / 5000) * 5 - 1500;
    this.agents = spawn(process.env.SAGE_SHOP_AGENTS, [this.listen, this.began], { stdio: ["pipe", "pipe", "inherit"] });
    this.said = [];
    createInterface(this.agents.stdout).on("line", (line) => this.said.push(line));
  }

  async run() {
    const args = ["serve", "--listen", this.listen, "--http", this.http, "--data", this.data, "--train-after", "150"];
    this.process = spawn(process.env.SAGE_ANALYZER, args, { stdio: "inherit" });
    await until("the analyzer answers", () => fetch(`${this.url}readyz`).then((r) => r.ok));
  }

  ask(path) {
    return fetch(`${this.url}api/v1/${path}`).then((r) => r.json());
  }

  // A command to the agents; their answers come in order.
  async tell(command, answer) {
    this.agents.stdin.write(`${command}\n`);
    await this.hear(answer);
  }

  async hear(answer) {
    await until(`the agents say ${answer}`, async () => this.said.includes(answer));
    this.said.splice(this.said.indexOf(answer), 1);
  }

  // One model window, judged before this returns.
  async playWindow() {
    const { windows } = await this.ask("status");
    await this.tell("play 5", "played");
    await until("the window is closed", async () => (await this.ask("status")).windows > windows);
  }

  // Learn what is normal, then let `stock` be throttled until that is diagnosed.
  async reachDiagnosis() {
    await this.tell("play 900", "played");
    await until("a model", async () => (await this.ask("status")).model.state === "ready");
    await this.tell("throttle", "throttled");
    for (let i = 0; i < 4; i++) await this.playWindow();
    await until("a diagnosis", async () => (await this.ask("incidents"))[0]?.diagnosis?.verdict === "diagnosed");
  }

  async end(child) {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  kill() {
    return this.end(this.process);
  }

  async stop() {
    await this.end(this.agents);
    await this.kill();
    rmSync(this.data, { recursive: true, force: true });
  }
}

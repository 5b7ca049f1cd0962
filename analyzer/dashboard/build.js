// Bundle the page into one self-contained file: `node build.js OUT.html`.
import { build } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];
if (!out) {
  console.error("usage: node build.js OUT.html");
  process.exit(2);
}

const bundle = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.jsx"],
  bundle: true,
  minify: true,
  write: false,
  outdir: "out",
  format: "iife",
  target: "es2020",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "eof",
});
const text = (extension) => bundle.outputFiles.find((f) => f.path.endsWith(extension)).text;
// A closing script tag inside a string of the bundle would end the element early.
const script = text(".js").replaceAll("</script", "<\\/script");

const page = readFileSync(join(here, "src/index.html"), "utf8")
  .replace("<!-- style -->", () => `<style>${text(".css")}</style>`)
  .replace("<!-- script -->", () => `<script>${script}</script>`);
writeFileSync(out, page);

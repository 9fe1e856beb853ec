/**
 * Compiles `src` into `dist`: one module per entry, minified, and declarations with their comments.
 *
 * `events.js` imports what it shares from `index.js`, so no code is in two files.
 */
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const folder = fileURLToPath(new URL("..", import.meta.url));
const out = process.argv[2] ?? "dist";
const entries = ["index", "events", "react", "storage/local_storage", "storage/indexed_db"];

process.chdir(folder);
rmSync(out, { recursive: true, force: true });
execFileSync("node_modules/.bin/tsc", ["--project", "tsconfig.json", "--outDir", out], { stdio: "inherit" });
for (const entry of entries) {
  await build({
    entryPoints: [`src/${entry}.ts`],
    outfile: `${out}/${entry}.js`,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    external: ["react", ...(entry === "index" ? ["./events.js"] : ["./index.js"])],
  });
}

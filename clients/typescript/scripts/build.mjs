/**
 * Compiles `src` into `dist`: one module per entry, minified, and declarations with their comments.
 *
 * `events.js` imports what it shares from `index.js`. `close_codes.js` and `reconnect.js` are there
 * for pages that need nothing else.
 */
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { minify } from "terser";

const folder = fileURLToPath(new URL("..", import.meta.url));
// Members that no user of the package sees, by names that nothing else has.
const INTERNAL =
  /^(core|timeline|outbox|storageName|transmit|changed|requestReplay|stateChanged|disconnected|startReplay|skipTo|hasGap|acknowledged|arrived|settle|failAll|fail|refuse|refused|enter|leave|receive|entry|bytes|failures|pending|loaded|prepend|fill|resumed|renew|tokens|loading|start|expiresSoon|received|closed|report|replay|refreshToken|outside|hasOlder)$/;
const out = process.argv[2] ?? "dist";
const entries = ["index", "close_codes", "reconnect", "events", "react", "storage/local_storage", "storage/indexed_db"];

process.chdir(folder);
rmSync(out, { recursive: true, force: true });
execFileSync("node_modules/.bin/tsc", ["--project", "tsconfig.json", "--outDir", out], { stdio: "inherit" });
let mangleCache = {};
for (const entry of entries) {
  const result = await build({
    entryPoints: [`src/${entry}.ts`],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    external: ["react", entry === "index" ? "./events.js" : "./index.js"],
    write: false,
    mangleProps: INTERNAL,
    mangleCache,
  });
  mangleCache = result.mangleCache;
  const { code } = await minify(result.outputFiles[0].text, {
    module: true,
    ecma: 2022,
    compress: { passes: 3, unsafe_arrows: true, unsafe_methods: true, pure_getters: true },
    // Short lines, so that an error does not print the whole module.
    format: { max_line_len: 1000 },
  });
  writeFileSync(`${out}/${entry}.js`, `${code}\n`);
}

// What the Content-Security-Policy and span data forbid: HTML made from text, code made from text.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const BANNED = [
  [/\b(innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|srcdoc)\b/, "makes HTML from text"],
  [/\bdocument\.write\b|\bDOMParser\b|\bcreateContextualFragment\b/, "makes HTML from text"],
  [/\beval\s*\(|\bnew Function\b/, "runs text"],
  [/https?:\/\/(?!\$\{|127\.0\.0\.1|www\.w3\.org\/2000\/svg)/, "names another host"],
  [/\bTODO\b|\bFIXME\b/, "is unfinished"],
];

const root = fileURLToPath(new URL("..", import.meta.url));

function* files(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* files(path);
    else if (/\.(tsx?|html|css)$/.test(entry.name)) yield path;
  }
}

const found = [];
for (const path of [...files(join(root, "src")), join(root, "index.html")]) {
  readFileSync(path, "utf8").split("\n").forEach((line, index) => {
    for (const [pattern, reason] of BANNED) if (pattern.test(line)) found.push(`${path}:${index + 1}: ${reason}: ${line.trim()}`);
  });
}
for (const line of found) console.error(line);
process.exit(found.length === 0 ? 0 : 1);

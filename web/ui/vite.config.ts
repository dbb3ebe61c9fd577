import { defineConfig } from "vite";

// The page is served under a strict Content-Security-Policy: everything in files, nothing inline.
export default defineConfig({
  base: "/",
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  server: {
    port: 5173,
    proxy: { "/api": process.env.SPANLAKE_URL ?? "http://127.0.0.1:8080" },
  },
});

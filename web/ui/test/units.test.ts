import assert from "node:assert/strict";
import { test } from "node:test";
import { timeTicks } from "../src/parts/chart.tsx";
import { bytes, count, duration, percent, rate, ratio, significant, tickDuration } from "../src/units.ts";

function check(format: (value: number | null) => string, cases: [number | null, string][]): void {
  for (const [value, text] of cases) assert.equal(format(value), text, `of ${value}`);
}

test("durations have three significant digits and a unit", () => {
  check(duration, [
    [0, "0 ns"], [1, "1 ns"], [999, "999 ns"], [1000, "1.00 µs"], [870_000, "870 µs"], [1_240_000, "1.24 ms"], [12_400_000, "12.4 ms"], [3_070_000_000, "3.07 s"],
    [59_900_000_000, "59.9 s"], [60_000_000_000, "1 min 00 s"], [125_000_000_000, "2 min 05 s"], [11_520_000_000_000, "3 h 12 min"], [187_200_000_000_000, "2 d 4 h"], [604_800_000_000_000, "7 d"], [null, "–"],
  ]);
});

test("rounding up reaches the next unit, never a thousand of the one below", () => {
  check(duration, [[999_600, "1.00 ms"], [999_499, "999 µs"], [999_999_999, "1.00 s"], [9_999, "10.0 µs"], [59_960_000_000, "1 min 00 s"], [86_399_000_000_000, "1 d"]]);
  check(count, [[9_999, "9,999"], [999_950, "1.00 M"], [9_999.6, "10.0 k"]]);
  check(bytes, [[1024 * 1023.9, "1.00 MiB"]]);
});

test("negative durations keep their sign", () => check(duration, [[-1_500_000, "−1.50 ms"]]));

test("counts, bytes, rates and shares", () => {
  check(count, [[0, "0"], [1234, "1,234"], [12_345, "12.3 k"], [4_560_000, "4.56 M"], [7.8e9, "7.80 G"], [null, "–"]]);
  check(bytes, [[0, "0 B"], [1023, "1,023 B"], [1024, "1.00 KiB"], [1_258_291, "1.20 MiB"], [null, "–"]]);
  check(rate, [[0, "0 /s"], [0.05, "0.05 /s"], [12.34, "12.3 /s"], [1834.2, "1,834 /s"], [null, "–"]]);
  check(percent, [[0, "0.0 %"], [0.0001, "<0.1 %"], [0.066, "6.6 %"], [0.9999, ">99.9 %"], [1, "100.0 %"], [null, "–"]]);
  assert.equal(ratio(1, 0), null);
});

test("axes leave out zeros that say nothing", () => {
  assert.equal(tickDuration(10_000_000), "10 ms");
  assert.equal(tickDuration(2_500_000), "2.5 ms");
  assert.equal(tickDuration(100_000), "100 µs");
  assert.equal(significant(1240), "1240");
});

test("ticks of a time axis are never more than asked for, over seconds as over decades", () => {
  const end = Date.UTC(2026, 10, 22, 8);
  for (const size of [2e3, 600e3, 86_400e3, 30 * 86_400e3, 400 * 86_400e3, 57 * 31_536_000e3]) {
    const ticks = timeTicks(end - size, end, 4);
    assert.ok(ticks.length >= 1 && ticks.length <= 5, `${size}: ${ticks.length}`);
    assert.equal(new Set(ticks.map((tick) => tick.label)).size, ticks.length);
  }
  assert.deepEqual(timeTicks(Date.UTC(1970, 0, 2), end, 4).map((tick) => tick.label), ["1980", "2000", "2020"]);
});

/** The styles of the page: light and dark, wide and narrow. On a narrow screen each row of a table is a small card. */
export const style: string = `
:root {
  --bg: #f5f7f6; --card: #fff; --ink: #17211e; --soft: #5a6864; --line: #dfe6e3; --tint: #e6f2ef; --accent: #0b6b5d; --on: #fff;
  --good: #13805f; --warn: #96640a; --bad: #b03a25; --idle: #83908c; --second: #5b6bbf;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) { :root {
  --bg: #0f1514; --card: #171f1d; --ink: #e6edea; --soft: #9fafa9; --line: #293532; --tint: #1d302c; --accent: #5fd0bb; --on: #06201b;
  --good: #4cc49c; --warn: #e3b152; --bad: #f58d78; --idle: #77857f; --second: #9aa8f0;
} }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header, main, footer, body > .problem { max-width: 80rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem .875rem; padding-top: 1.25rem; }
footer { padding-top: 1.25rem; padding-bottom: 2rem; font-size: .8125rem; }
main { display: flex; flex-direction: column; gap: 1rem; padding-top: 1rem; }
h1 { display: flex; align-items: center; gap: .5rem; font-size: 1.1875rem; letter-spacing: -.01em; margin: 0; }
h2 { font-size: .9375rem; margin: 0; }
p { margin: 0; }
a { color: var(--accent); }
.mark { width: 1.25rem; height: 1.25rem; fill: var(--accent); }
.soft { color: var(--soft); font-size: .8125rem; }
.end { margin-left: auto; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.stack { display: contents; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: .875rem 1rem; min-width: 0; }
.head { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem .75rem; margin-bottom: .5rem; }
.pill {
  display: inline-flex; align-items: center; gap: .4375rem; padding: .0625rem .6875rem;
  border: 1px solid var(--line); border-radius: 99px; background: var(--card); font-size: .8125rem;
}
.pill::before, .dot::before { content: ""; flex: none; width: .5rem; height: .5rem; border-radius: 50%; background: var(--idle); }
[data-tone="good"]::before { background: var(--good); }
[data-tone="warn"]::before { background: var(--warn); }
[data-tone="bad"]::before { background: var(--bad); border-radius: 2px; }
.dot { display: inline-flex; align-items: center; gap: .4375rem; white-space: nowrap; }
.problem { color: var(--bad); font-size: .875rem; }
body > .problem { padding-top: .75rem; }
.tiles { display: grid; gap: .75rem; grid-template-columns: repeat(6, minmax(0, 1fr)); }
.tile {
  display: flex; flex-direction: column; margin: 0;
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow: hidden; min-width: 0;
}
.tile dt { padding: .75rem .875rem 0; color: var(--soft); font-size: .8125rem; }
.tile dd { margin: 0; padding: 0 .875rem; }
.tile .value { white-space: nowrap; font-size: 1.5rem; line-height: 1.25; font-weight: 620; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.tile .note { color: var(--soft); font-size: .8125rem; min-height: 1.25rem; }
.chart { display: block; width: 100%; height: 3.75rem; margin-top: auto; padding-top: .25rem; touch-action: pan-y; }
.chart path { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.chart .area { fill: var(--accent); fill-opacity: .1; stroke: none; }
.chart .second { stroke: var(--second); }
.chart line { stroke: var(--soft); stroke-width: 1; vector-effect: non-scaling-stroke; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .875rem; }
th {
  text-align: left; font-weight: 500; color: var(--soft); font-size: .8125rem;
  padding: .25rem .5rem; white-space: nowrap; border-bottom: 1px solid var(--line);
}
td { padding: .375rem .5rem; border-bottom: 1px solid var(--line); vertical-align: middle; overflow-wrap: anywhere; }
tbody tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; white-space: nowrap; overflow-wrap: normal; }
.a { text-align: right; width: 1%; }
.name { font-family: var(--mono); font-size: .8125rem; }
.sub td:first-child { padding-left: 1.25rem; }
.sub td { color: var(--soft); }
.note { color: var(--soft); }
.zero, .sub .zero { color: var(--idle); }
.empty { color: var(--soft); padding: 1rem 0 .5rem; text-align: center; }
.share { display: inline-block; vertical-align: middle; width: 4.5rem; height: .375rem; margin-right: .5rem; }
.share rect, .meter rect { fill: var(--line); }
.share .full, .meter .full { fill: var(--accent); }
.columns { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(16rem, 100%), 1fr)); }
.bars { list-style: none; margin: 0; padding: 0; font-size: .875rem; }
.bars li { display: grid; grid-template-columns: 1fr auto; gap: 0 .75rem; padding: .25rem 0; font-variant-numeric: tabular-nums; }
.meter { grid-column: 1 / -1; display: block; width: 100%; height: .25rem; }
form { display: flex; flex-wrap: wrap; gap: .5rem .875rem; align-items: baseline; }
label { color: var(--soft); font-size: .8125rem; }
input, select, button {
  font: inherit; font-size: .875rem; color: var(--ink); background: var(--bg);
  border: 1px solid var(--line); border-radius: 8px; padding: .25rem .5rem; min-height: 2rem; max-width: 100%;
}
button { cursor: pointer; background: var(--card); padding: .25rem .75rem; white-space: nowrap; }
button:hover { border-color: var(--soft); }
button:disabled { opacity: .5; cursor: default; }
button.danger { color: var(--bad); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
dialog {
  border: 1px solid var(--line); border-radius: 14px; background: var(--card); color: var(--ink);
  padding: 1.25rem; width: min(28rem, calc(100vw - 2rem)); box-shadow: 0 12px 40px rgb(0 0 0 / .25);
}
dialog::backdrop { background: rgb(0 0 0 / .35); }
dialog form { display: flex; flex-direction: column; align-items: stretch; gap: .75rem; }
dialog h2 { overflow-wrap: anywhere; font-family: var(--mono); font-size: .875rem; }
.buttons { display: flex; flex-wrap: wrap; gap: .5rem; }
#weight { width: 5.5rem; }
@media (max-width: 68rem) { .tiles { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
@media (max-width: 46rem) {
  header, main, footer, body > .problem { padding-left: .75rem; padding-right: .75rem; }
  .card { padding: .75rem; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .5rem; }
  .tile dt, .tile dd { padding-left: .75rem; padding-right: .75rem; }
  .tile .value { font-size: 1.25rem; }
  .chart { height: 2.75rem; }
  #query { margin-left: 0; width: 100%; }
  table:not(.small) thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table:not(.small), table:not(.small) tbody { display: block; }
  table:not(.small) tr { display: flex; flex-wrap: wrap; align-items: center; gap: .0625rem 1rem; padding: .4375rem 0; border-bottom: 1px solid var(--line); }
  table:not(.small) tbody tr:last-child { border-bottom: 0; }
  table:not(.small) td { display: flex; gap: .375rem; padding: 0; border: 0; width: auto; min-width: 0; text-align: left; }
  table:not(.small) td::before { content: attr(data-label); color: var(--soft); font-size: .8125rem; font-family: system-ui, sans-serif; white-space: nowrap; }
  table:not(.small) td:first-child { flex-basis: 100%; }
  table:not(.small) td:first-child::before, table:not(.small) td.a::before { content: none; }
  table:not(.small) td.zero, table:not(.small) td.aside { display: none; }
  table:not(.small) .sub { padding-left: .875rem; }
  table:not(.small) .sub td:first-child { padding-left: 0; }
  td.a { margin-left: auto; }
}
`

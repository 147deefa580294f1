/** The page's body; `page-view.ts` fills it. */
export const markup: string = `<header>
  <h1><svg class="mark" viewBox="0 0 32 32" aria-hidden="true"><path d="M3 27V16a13 13 0 0 1 26 0v11h-6V16a7 7 0 0 0-14 0v11z"/></svg>fastify-wstunnel</h1>
  <span id="host" class="soft"></span>
  <span id="state" class="pill" role="status" data-tone="wait">connecting</span>
  <span id="uptime" class="soft end"></span>
</header>
<p id="problem" class="problem" role="alert" hidden></p>
<main>
  <section aria-labelledby="now">
    <div class="head"><h2 id="now">Now</h2><span class="soft">charts: up to five minutes, kept by this page</span></div>
    <div id="tiles" class="tiles"></div>
  </section>
  <section class="card" aria-labelledby="routes-title">
    <div class="head"><h2 id="routes-title">Routes</h2><span id="routes-note" class="soft"></span></div>
    <table id="routes"><thead><tr>
      <th scope="col">Route, upstream</th><th scope="col" class="n">Tunnels</th><th scope="col" class="n">Opened</th><th scope="col" class="n">Refused</th>
      <th scope="col" class="n">Requests</th><th scope="col" class="n">In flight</th><th scope="col" class="n">Failed</th>
      <th scope="col" class="n">From clients</th><th scope="col" class="n">From upstreams</th>
    </tr></thead><tbody></tbody></table>
  </section>
  <div id="balancers" class="stack"></div>
  <div class="columns">
    <section class="card" aria-labelledby="ended-title">
      <div class="head"><h2 id="ended-title">Why tunnels ended</h2><span id="ended-note" class="soft"></span></div>
      <ul id="ended" class="bars"></ul>
    </section>
    <section class="card" aria-labelledby="refused-title">
      <div class="head"><h2 id="refused-title">Upgrades refused, by stage</h2><span id="refused-note" class="soft"></span></div>
      <ul id="refused" class="bars"></ul>
    </section>
    <section class="card" aria-labelledby="statuses-title">
      <div class="head"><h2 id="statuses-title">Requests, by status</h2><span id="statuses-note" class="soft"></span></div>
      <ul id="statuses" class="bars"></ul>
    </section>
    <section class="card" aria-labelledby="times-title">
      <div class="head"><h2 id="times-title">How long it takes</h2><span class="soft">at most, in the time of the charts</span></div>
      <table id="times" class="small"><thead><tr>
        <th scope="col"></th><th scope="col" class="n">half of them</th><th scope="col" class="n">95 %</th>
      </tr></thead><tbody></tbody></table>
    </section>
  </div>
  <section class="card" aria-labelledby="tunnels-title">
    <div class="head"><h2 id="tunnels-title">Tunnels</h2><span id="tunnels-note" class="soft"></span>
      <form id="query" class="end">
        <label>Order <select name="sort">
          <option value="age">longest first</option><option value="bytes">most bytes first</option><option value="rate">busiest first</option>
        </select></label>
        <label>Client
          <input name="client" type="search" size="14" placeholder="address begins with" autocomplete="off" spellcheck="false" maxlength="64"></label>
        <label>Show <select name="limit"><option>20</option><option>100</option><option>500</option></select></label>
      </form></div>
    <table id="tunnels"><thead><tr>
      <th scope="col">Client</th><th scope="col">Route</th><th scope="col">Upstream</th><th scope="col">Protocol</th><th scope="col">State</th>
      <th scope="col" class="n">Open for</th><th scope="col" class="n">From client</th><th scope="col" class="n">From upstream</th>
      <th scope="col" class="n">Now</th><th scope="col" class="a"><span class="hidden">Change</span></th>
    </tr></thead><tbody></tbody></table>
    <p id="no-tunnels" class="empty" hidden>No tunnel is open.</p>
  </section>
</main>
<footer class="soft">Read every two seconds while this page is visible. The same as JSON: <a href="status.json" id="json">status.json</a></footer>
<dialog id="change" aria-labelledby="change-title"><form method="dialog">
  <h2 id="change-title"></h2>
  <p id="change-text" class="soft"></p>
  <p id="change-weight"><label>Weight <input id="weight" type="number" min="1" max="100" step="any"></label>
    <button type="button" data-action="weight">Set weight</button></p>
  <p id="change-problem" class="problem" role="alert" hidden></p>
  <div id="change-buttons" class="buttons">
    <button type="button" data-action="drain">Drain</button>
    <button type="button" data-action="disable">Disable</button>
    <button type="button" data-action="enable">Enable</button>
    <button type="button" data-action="close" class="danger">Close the tunnel</button>
    <button value="cancel" class="end">Cancel</button>
  </div>
</form></dialog>`

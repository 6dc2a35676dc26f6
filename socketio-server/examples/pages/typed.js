// @ts-check
// The script of the page of `typed.rs`. `tsc --checkJs` compares it with the types of the contract.

/** @type {typeof import('socket.io-client').io} */
const io = /** @type {any} */ (window).io;

/** @type {import('socket.io-client').Socket<import('./events').ServerToClientEvents, import('./events').ClientToServerEvents>} */
const socket = io();

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

for (const choice of /** @type {const} */ (['tea', 'coffee', 'water'])) {
  element(choice).onclick = async () => {
    const outcome = await socket.emitWithAck('vote', choice);
    element('state').textContent = outcome.kind === 'counted' ? `Vote ${outcome.total} is yours.` : 'You have voted already.';
  };
}

socket.on('tally', ({ votes }) => {
  const total = Object.values(votes).reduce((sum, count) => sum + (count ?? 0), 0);
  const lines = Object.entries(votes).map(([choice, count]) => {
    const line = document.createElement('li');
    const bar = Object.assign(document.createElement('progress'), { max: total, value: count });
    bar.setAttribute('aria-label', choice);
    line.append(`${choice}: ${count}`, bar);
    return line;
  });
  element('tally').replaceChildren(...lines);
});

// Intended differences from Node's server, each with its reason.

const bad = { status: 400, body: '{"code":3,"message":"Bad request"}', 'content-type': 'application/json' };

/** The intended differences. `what` selects requests by name. `same` makes both responses equal if they have no other difference. */
export const intended = [
  {
    why: 'a refused WebSocket request carries the same JSON as every other refusal; Node writes the message as HTML',
    what: /WebSocket|upgrade/,
    same: (node, ours) => [asJson(node), ours],
  },
  {
    why: 'a WebSocket for the polling transport gets a status; Node accepts it, then closes it',
    what: /WebSocket/,
    same: (node, ours) => [inAnswers(node, (each) => (isClosed(each) && !isAccepted(ours) ? badLike(ours) : each)), ours],
  },
  {
    why: 'a WebSocket of a revision that is not served gets a status; Node writes HTTP into the WebSocket',
    what: /^WebSocket (\?EIO=3&|\?)transport=websocket$/,
    same: (node, ours) => same(node, ours, node.frames?.[0] === 'close 21584' && ours.body?.startsWith('{"code":5,')),
  },
  {
    why: 'only version 13 of WebSocket is spoken (RFC 6455); Node speaks the draft 8 as well, and reads 13.0 as 13',
    what: /with (version|no version)/,
    same: (node, ours) => [both(node, (each) => ({ ...each, ...bad, 'sec-websocket-version': '13' })), both(ours, (each) => ({ ...each, ...bad }))].map(withoutUpgrade),
  },
  {
    why: 'a WebSocket needs a Host as every request does (RFC 6455 section 4.2.1); Node looks at other requests only',
    what: /with no Host/,
    same: (node, ours) => same(node, ours, [ours].flat()[0].status === 400),
  },
  {
    why: 'a WebSocket begins with HTTP/1.1 (RFC 6455 section 4.1)',
    what: /^WebSocket in HTTP\/1\.0$/,
    same: (node, ours) => same(node, ours, ours.status === 400),
  },
  {
    why: 'a polling request may ignore an upgrade to another protocol (RFC 9110 section 7.8); Node refuses it',
    what: /^WebSocket with another Upgrade: \?EIO=4&transport=polling$/,
    same: (node, ours) => same(node, ours, ours.status === 200),
  },
  {
    why: 'a second WebSocket of a session that began with one is closed; Node takes it for an upgrade',
    what: /, websocket: (WebSocket, another transport|upgrade, escaped)/,
    same: (node, ours) => same(node, ours, isClosed(ours.answer)),
  },
  {
    why: 'every request is answered; Node leaves plain requests with transport=websocket of a WebSocket session open',
    what: /, (upgraded|websocket): (GET|POST), another transport/,
    same: (node, ours) => but(node, ours, node.answer.nothing === 'waits', { answer: bad }),
  },
  {
    why: 'a POST whose session ends is answered; Node cuts its connection',
    what: /, pushing: POST/,
    same: (node, ours) => but(node, ours, node.waiting.nothing === 'end', { waiting: { status: 400, body: '' } }),
  },
  {
    why: 'the target of a request may be a whole URL (RFC 9112 section 3.2.2), which Node compares with the path',
    what: /path http:/,
    same: (node, ours) => same(node, ours, [200, 101].includes(ours.status)),
  },
  {
    why: 'a target that is no path is refused by the HTTP library',
    what: /path \*/,
    same: (node, ours) => same(node, ours, ours.status === 400),
  },
  {
    why: 'a WebSocket for another path gets 404; Node ends its connection a second later, without a word',
    what: /^WebSocket, path /,
    same: (node, ours) => same(node, ours, node.nothing === 'waits' && ours.status === 404),
  },
  {
    why: 'methods that Node\'s HTTP parser does not know are refused with a number',
    what: /^method (get|BREW|CONNECT)/,
    same: (node, ours) => same(node, ours, ours.body?.startsWith('{"code":2,')),
  },
  {
    why: 'an expectation that is not known may be ignored (RFC 9110 section 10.1.1)',
    what: /Expect: something else/,
    same: (node, ours) => same(node, ours, ours.status === 200),
  },
  {
    why: 'a request with a length and chunks is read by its chunks, and its connection ends (RFC 9112 section 6.3)',
    what: /a length and chunks/,
    same: (node, ours) => same(node, ours, ours.status === 200),
  },
  {
    why: 'a body is refused by its announced length; Node reads as far as the limit first, and resets a client that is still writing',
    what: /too large/,
    same: (node, ours) => but(node, ours, ours.status === 413 && gone(ours), node.status === 'waits' ? ours : { status: 413 }),
  },
  {
    why: 'a body that cannot be understood gets 400; Node says ok, then closes',
    what: /, body /,
    same: (node, ours) => but(node, ours, node.answer.body === 'ok' && gone(node) && ours.answer.status === 400, { answer: bad }),
  },
  {
    why: 'the application runs in a task of its own: what it says in answer to the first packets of a body comes with the rest, or too late',
    what: /, body .*(4a\\u001e|2:4a(2|1|:)|1:4a)/,
    same: (node, ours) => (gone(node) ? same(node, ours, gone(ours)) : [transcript(node), transcript(ours)]),
  },
  {
    why: 'lengths of revision 3 are digits, and what is no packet ends the session; Node reads numbers of every kind, and ignores a base64 packet or a binary frame without a type',
    what: /revision 3, (body "( 2|\+2|2\.0|1e0|1:b|2:b!)|frame (b|b alone|empty binary) )/,
    same: (node, ours) => same(node, ours, gone(ours) || isClosed(ours.seen)),
  },
  {
    why: 'a content type is the same in capitals',
    what: /content type Application/,
    same: (node, ours) => same(node, ours, ours.answer.status === 400 && gone(ours)),
  },
  {
    why: 'a GET that waits when the session changes its transport ends with a noop; Node\'s says close',
    what: /, probe .*5/,
    same: (node, ours) => but(node, ours, /^(1:)?6$/.test(ours.waiting.body), { waiting: ours.waiting }),
  },
  {
    why: 'a DISCONNECT may cross one from the server: it is ignored where the client is in no such namespace; Node closes the connection',
    what: /Socket\.IO (over polling: )?41/,
    same: (node, ours) => same(node, ours, !JSON.stringify(ours).includes('close')),
  },
  {
    why: 'a placeholder that fits no attachment is noticed before the attachment comes',
    what: /"num":1/,
    same: (node, ours) => same(node, ours, isClosed(ours.at(-1)) && isClosed(node.at(-1))),
  },
  {
    why: 'a pong goes before messages that wait',
    what: /over polling: 2 /,
    same: (node, ours) => same(node, ours, node[0][1].body.length === ours[0][1].body.length),
  },
];

/** Two equal responses if the intended difference is the only one. */
const same = (node, ours, meant) => (meant ? [ours, ours] : [node, ours]);
/** Node's response with these parts replaced, if their difference is the intended one. */
const but = (node, ours, meant, parts) => (meant ? [{ ...node, ...parts }, ours] : [node, ours]);
const both = (seen, change) => (Array.isArray(seen) ? [change(seen[0]), ...seen.slice(1)] : change(seen));
const isClosed = (seen) => seen?.frames?.at(-1) === 'close';
const gone = ({ fate }) => typeof fate === 'string' && fate.includes('Session ID unknown');
const inAnswers = (seen, change) => (seen.answer ? { ...seen, answer: change(seen.answer) } : change(seen));

const isAccepted = (ours) => (ours.answer ?? ours).status === 101;
const badLike = ({ end }) => (end ? { ...bad, end } : bad);

/** The rest of a response that refuses a WebSocket. */
const withoutUpgrade = (seen) => both(seen, ({ upgrade, frames, end, 'sec-websocket-accept': accept, ...rest }) => rest);

/** All packets that a polling client reads, independent of their distribution over responses. */
function transcript({ answer, waiting, fate }) {
  const text = JSON.stringify([waiting?.body, fate]);
  return { status: answer.status, messages: [...text.matchAll(/4(a(?!live)|b|alive)/g)].map(([each]) => each) };
}

/** Node's refusal of a WebSocket, with the text of its other refusals. */
function asJson(seen) {
  const codes = { 'Transport unknown': 0, 'Session ID unknown': 1, 'Bad handshake method': 2, 'Bad request': 3, 'Unsupported protocol version': 5 };
  return changed(seen, (response) => {
    if (response['content-type'] !== 'text/html' || response.status !== 400) return response;
    const { body, ...rest } = response;
    // The text of the HTTP library.
    const message = body in codes ? body : 'Bad request';
    return { ...rest, body: body && JSON.stringify({ code: codes[message], message }), 'content-type': 'application/json' };
  });
}

/** Applies `change` to each response in an observation. */
function changed(seen, change) {
  if (Array.isArray(seen)) return seen.map((each) => changed(each, change));
  if (seen === null || typeof seen !== 'object') return seen;
  const inside = Object.fromEntries(Object.entries(seen).map(([key, value]) => [key, changed(value, change)]));
  return 'status' in inside ? change(inside) : inside;
}

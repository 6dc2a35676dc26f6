// Golden vectors of the client: the request of Node's own client for a URL, and its cookie jar after a header.
//
//     node client.mjs <out.json>
//
//   urls     a URL; the namespace, query and server that Node's client requests, or the error
//   cookies  a `Set-Cookie` header that arrives at the start of 2030; the cookie that Node sends back (null: none), and
//            its expiry in seconds since 1970 (null: with the client; "never": beyond the range of JavaScript's dates)

import { createRequire } from "node:module";
import http from "node:http";
import https from "node:https";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);

let asked;
const refuse = (secure) => (options) => {
  asked ??= { secure, ...options };
  throw new Error("not connected");
};
http.request = refuse(false);
https.request = refuse(true);
const { io } = require("socket.io-client");
const engine = dirname(require.resolve("engine.io-client", { paths: [dirname(require.resolve("socket.io-client"))] }));
const { CookieJar } = require(join(engine, "globals.node.js"));

const URLS = [
  // Ordinary URLs.
  "http://h", "http://h/", "http://h:3000", "http://h:3000/", "https://h", "ws://h", "wss://h", "wss://h:3000/chat",
  "http://h/chat", "http://h/chat/", "http://h//chat", "http://h/a/b", "http://h/a/../b", "http://h/./a", "http://h/a.b",
  "http://h/a%20b", "http://h/%41", "http://h/chat?a=1&b=2", "http://h/?a=1", "http://h?a=1", "http://h/?", "http://h?",
  "http://h/?a=b=c", "http://h/?a=1&a=2", "http://h/?sid=1&EIO=3&b=2", "http://h/?a=%zz", "http://h/?a=%20+%2B", "http://h/?a", "http://h/?&&a=1&", "http://h/chat#x", "http://h/#x", "http://h#x",
  "http://h/chat?a=1#x?y", "http://h/?a=1?b", "http://h/a:b", "http://h/a@b", "http://h/?a=b@c", "http://h/?u=http://x/",
  "http://h/é", "http://h/чат", "http://h/?a=é", "http://h/a b", "http://h/\"a\"", "http://h/{a}|^`<b>",
  // Schemes.
  "HTTP://h", "Https://h", "WS://h/x", "ftp://h", "http:h", "http:/h", "http:///h", "http://", "http:///", "://h", "//h", "//h:3000/x",
  "h", "h:3000", "h:3000/chat", "localhost:3000", "/chat", "", " ", " http://h ", "http ://h", "file:///h", "javascript:1", "a+b://h",
  // Ports.
  "http://h:", "http://h:/", "http://h:0", "http://h:1", "http://h:80", "https://h:80", "http://h:443", "https://h:443", "http://h:00080",
  "http://h:65535", "http://h:65536", "http://h:99999", "http://h:184467440737095516160", "http://h:abc", "http://h:0x50", "http://h:-1",
  "http://h:+80", "http://h:8 0", "http://h: 80", "http://h:80a", "http://h:80:80", "http://h:8.0", "http://h:８０", "http://h:80?x=1",
  "http://[::1]:", "http://[::1]:99999", "http://[::1]:x",
  // Hosts.
  "http://localhost", "http://EXAMPLE.com", "http://a-b.example", "http://a_b.example", "http://a.example.", "http://127.0.0.1",
  "http://127.1", "http://0x7f.1", "http://2130706433", "http://256.256.256.256", "http://1.2.3.4.5", "http://[::1]", "http://[::1]:3000/x",
  "http://[::ffff:127.0.0.1]", "http://[fe80::1%25eth0]", "http://[::1", "http://::1", "http://[]", "http://[g::1]", "http://[::1]x",
  "http://[v1.a]", "http://bücher.example", "http://xn--bcher-kva.example", "http://a b", "http://a%20b", "http://a%41", "http://a<b",
  "http://a|b", "http://a\\b", "http://a\tb", "http://a\nb", "http://.", "http://..", "http://a..b", "http://*", "http://a,b", "http://a;b",
  // User and password.
  "http://ann@h", "http://ann:secret@h", "http://ann:secret@h:3000/x", "http://ann:@h", "http://:secret@h", "http://@h", "http://:@h",
  "http://a@b@h", "http://ann:sec:ret@h", "http://ann:99999@h", "http://ann:secret@", "http://ann:secret@:80", "http://ann%40x:y@h",
];

const RESERVED = ["EIO", "transport", "sid", "t"];

function urls() {
  return URLS.map((url) => {
    asked = undefined;
    try {
      const socket = io(url, { forceNew: true, reconnection: false, transports: ["polling"] });
      const { nsp } = socket;
      socket.close();
      if (asked === undefined) return { url, error: "no request" };
      const { host, port, path, secure } = asked;
      const query = [...new URL(path, "http://h").searchParams].filter(([key]) => !RESERVED.includes(key));
      return { url, nsp, host, port: String(port), secure, query };
    } catch (error) {
      return { url, error: String(error?.message ?? error) };
    }
  });
}

const DATES = [
  // RFC 1123, RFC 850, asctime, and other forms that servers send.
  "Wed, 21 Oct 2065 07:28:00 GMT", "Thu, 01 Jan 1970 00:00:01 GMT", "Thu, 01-Jan-1970 00:00:01 GMT", "Thu, 01-Jan-70 00:00:01 GMT",
  "Thursday, 01-Jan-1970 00:00:01 GMT", "Thursday, 01-Jan-70 00:00:01 GMT", "Thu Jan  1 00:00:01 1970", "Thu Jan 1 00:00:01 1970",
  "Thu Jan 01 1970 00:00:01 GMT", "Thu, 1 Jan 1970 00:00:01 GMT", "Thu, 01 Jan 1970 0:00:01 GMT", "Thu, 01 Jan 1970 00:00:01",
  "Thu, 01 Jan 1970 00:00:01 UTC", "thu, 01 jan 1970 00:00:01 gmt", "01 Jan 1970 00:00:01 GMT", "01-Jan-1970 00:00:01 GMT",
  "Thu, 01 January 1970 00:00:01 GMT", "Thu, 01-Jan-1970 00:00:01", "Thu,01 Jan 1970 00:00:01 GMT", "Jan 01 1970 00:00:01",
  "Sun, 06-Nov-2094 08:49:37 GMT", "Sun, 06-Nov-69 08:49:37 GMT", "Sun, 06 Nov 2094 08:49:37 +0000", "Mon, 01 Jan 2035 00:00:00 GMT",
  // Invalid dates.
  "", "0", "-1", "never", "Thu, 32 Jan 1970 00:00:01 GMT", "Sat, 31 Feb 2065 00:00:00 GMT", "Thu, 01 Foo 1970 00:00:01 GMT",
  "Thu, 01 Jan 1970", "00:00:01 GMT", "Thu, 01 Jan 1970 24:00:00 GMT", "Thu, 01 Jan 1970 00:60:00 GMT", "Thu, 01 Jan 1500 00:00:01 GMT",
  "Wed, 21 Oct 20650 07:28:00 GMT", "Wed, 21 Oct 2065 07:28:00 GMT garbage", "2065-10-21T07:28:00Z", "1970-01-01",
];

const HEADERS = [
  "a=1", "a=1; Path=/; HttpOnly", "a = 1 ", "a=b=c", "a=", "a", "=a", "", ";", "a=\"b c\"", "a=b; x", "a=%20",
  ...DATES.map((date) => `a=1; Expires=${date}`),
  "a=1; expires=Thu, 01 Jan 1970 00:00:01 GMT", "a=1; EXPIRES = Thu, 01 Jan 1970 00:00:01 GMT", "a=1;Expires=Thu, 01 Jan 1970 00:00:01 GMT",
  "a=1; Max-Age=5", "a=1; max-age=5", "a=1; MAX-AGE = 5", "a=1;Max-Age=5", "a=1; Max-Age=0", "a=1; Max-Age=-1", "a=1; Max-Age=-0",
  "a=1; Max-Age=+5", "a=1; Max-Age=05", "a=1; Max-Age=5.5", "a=1; Max-Age=5x", "a=1; Max-Age=x", "a=1; Max-Age=", "a=1; Max-Age",
  "a=1; Max-Age=\"5\"", "a=1; Max-Age=99999999999", "a=1; Max-Age=9223372036854775807", "a=1; Max-Age=99999999999999999999999",
  "a=1; Max-Age=5; Max-Age=9", "a=1; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:01 GMT", "a=1; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=5",
  "a=1; Max-Age=x; Expires=Thu, 01 Jan 1970 00:00:01 GMT", "a=1; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=x",
];

function cookies() {
  // A fixed clock makes relative expiry times exact.
  const now = Date.UTC(2030, 0, 1);
  Date.now = () => now;
  return HEADERS.map((header) => {
    const jar = new CookieJar();
    jar.parseCookies([header]);
    const [cookie] = jar._cookies.values();
    const time = cookie?.expires?.getTime();
    const expires = time === undefined ? null : Number.isFinite(time) ? time / 1000 : "never";
    const [sent] = [...jar.cookies].map(([name, { value }]) => `${name}=${value}`);
    return { header, expires, sent: sent ?? null };
  });
}

const lines = (list) => list.map((it) => "  " + JSON.stringify(it)).join(",\n");
writeFileSync(process.argv[2], `{\n "urls": [\n${lines(urls())}\n ],\n "cookies": [\n${lines(cookies())}\n ]\n}\n`);

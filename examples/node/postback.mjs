// Takes milaan's postbacks: verified twice over, each payment once; and events of a webhook at /events.
// Node 18 or later and nothing else.
//
//     POSTBACK_ACCESS_KEY=AK POSTBACK_PRIVATE_KEY=PK EVENTS_SECRET=whsec_… node postback.mjs
//
// In a shop of your own, keep verifyPostback and replace takeOnce by a transaction of your database.
import { createHash, createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { existsSync, linkSync, unlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A delivery that is not the gateway's. */
export class NotGenuine extends Error {}

const digest = (name, text) => createHash(name).update(text).digest("hex");
const same = (a, b) => timingSafeEqual(createHash("sha256").update(String(a)).digest(), createHash("sha256").update(String(b)).digest());

/** Standard Webhooks: the whole body is signed with the key, and was sent just now. Repeats are signed anew. */
function verifySignature(body, headers, key) {
  if (key.length === 0) throw new Error("set the keys: anybody could sign with an empty one");
  const id = headers["webhook-id"] ?? "", timestamp = headers["webhook-timestamp"] ?? "";
  const want = "v1," + createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  if (!(headers["webhook-signature"] ?? "").split(" ").some((given) => same(given, want))) throw new NotGenuine("the webhook signature is wrong");
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) throw new NotGenuine("it was sent long ago");
}

/** Returns a genuine event of a webhook: its id, type, timestamp and data. Take each id once; ignore unknown types. */
export function verifyEvent(body, headers, secret = "") {
  verifySignature(body, headers, Buffer.from(secret.startsWith("whsec_") ? secret.slice(6) : "", "base64"));
  return { ...JSON.parse(body), id: headers["webhook-id"] };
}

/**
 * Returns what a genuine postback says: the element of additional_data and the label. Its amount is rupees as exact
 * text ("500.5"): never make a number of it.
 * @param {Buffer} body the request's, byte for byte
 * @param {Record<string, string>} headers names in lower case
 * @param {{accessKey: string, privateKey: string, webhookSecret?: string}} keys
 */
export function verifyPostback(body, headers, { accessKey, privateKey, webhookSecret }) {
  const key = !webhookSecret ? Buffer.from(privateKey ?? "")
    : webhookSecret.startsWith("whsec_") ? Buffer.from(webhookSecret.slice(6), "base64") : Buffer.from(webhookSecret);
  if (!accessKey || !privateKey) throw new Error("set the keys: anybody could sign with an empty one");

  // 1. Standard Webhooks.
  verifySignature(body, headers, key);

  // 2. The legacy signature, over the bytes of additional_data: the last key. Written anew they might differ.
  let data;
  try {
    data = JSON.parse(body);
  } catch {
    throw new NotGenuine("it is no JSON");
  }
  const name = '"additional_data":', item = data?.additional_data?.[0];
  if (!item || data.additional_data.length !== 1) throw new NotGenuine("it has no payment in it");
  const signed = body.subarray(body.indexOf(name) + name.length, -1);
  if (!same(data.access_key, accessKey) || !same(data.signature, digest("sha1", accessKey + privateKey + digest("md5", signed)))) {
    throw new NotGenuine("the signature in the body is wrong");
  }

  // 3. The top level, which the legacy signature does not cover, says the same. The number is only printed.
  if (String(data.amount) !== item.amount || data.currency_code !== item.currency_code || data.wallet_type !== item.wallet_type ||
      data.direction !== (item.transaction_type === 0 ? "ingoing" : "outgoing")) {
    throw new NotGenuine("its halves disagree");
  }
  return { ...item, label: data.label, direction: data.direction };
}

/** Keeps a payment under its key, and tells whether it is the first time. The file is there whole, or not at all. */
export function takeOnce(folder, key, payment) {
  const file = join(folder, digest("sha256", key) + ".json"), fresh = join(folder, ".new-" + randomUUID());
  writeFileSync(fresh, JSON.stringify(payment), { flush: true });
  try {
    linkSync(fresh, file);
    return true;
  } catch (error) {
    if (existsSync(file)) return false;
    throw error;
  } finally {
    unlinkSync(fresh);
  }
}

async function read(request, most) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    if ((size += part.length) > most) throw new NotGenuine("a postback is short");
    parts.push(part);
  }
  return Buffer.concat(parts);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { POSTBACK_ACCESS_KEY: accessKey, POSTBACK_PRIVATE_KEY: privateKey, POSTBACK_WEBHOOK_SECRET: webhookSecret, EVENTS_SECRET: eventsSecret, TAKEN = ".", PORT = "9000" } = process.env;
  createServer(async (request, response) => {
    let [status, said] = [200, "ok"];
    try {
      if (request.method !== "POST") throw new NotGenuine("a postback is a POST");
      if (request.url === "/events") {
        const event = verifyEvent(await read(request, 256 << 10), request.headers, eventsSecret);
        if (takeOnce(TAKEN, event.id, event)) console.log(`event ${event.type}: ${JSON.stringify(event.data)}`);
        response.writeHead(204).end();
        return;
      }
      const payment = verifyPostback(await read(request, 256 << 10), request.headers, { accessKey, privateKey, webhookSecret });
      if (payment.direction !== "ingoing") throw new Error("a withdrawal, for which nothing is written yet");
      if (takeOnce(TAKEN, payment.plugin_custom_order_id + "\n" + payment.transaction_id, payment)) {
        console.log(`order ${payment.plugin_custom_order_id} of ${payment.label}: ${payment.amount} received`);
      }
    } catch (error) {
      [status, said] = [error instanceof NotGenuine ? 403 : 500, "fail"]; // after a 500, it is sent again
      console.error("postback not taken:", error.message);
    }
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify({ status: said }));
  }).listen(Number(PORT), "127.0.0.1");
}

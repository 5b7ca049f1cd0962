// The least of a server that a real client library is content with: node responder.js KIND PORT.
// Ended by SIGTERM, its status is the number of requests it answered.
import { deserialize, Double, serialize } from "bson";
import net from "node:net";

let answered = 0;

// Cut what comes into messages by `length(buffer)`, and answer each by `answer(message)`.
function serve(length, answer) {
	net.createServer((socket) => {
		let rest = Buffer.alloc(0);

		socket.setNoDelay();
		socket.on("error", () => {});
		socket.on("data", (data) => {
			rest = Buffer.concat([rest, data]);
			while (rest.length >= 4 && rest.length >= length(rest)) {
				const reply = answer(rest.subarray(0, length(rest)));

				rest = rest.subarray(length(rest));
				if (!reply)
					continue;
				answered++;
				socket.write(reply);
			}
		});
	}).listen(Number(process.argv[3]), "127.0.0.1");
}

/* ---- MongoDB */

const QUERY = 2004;
const MORE_TO_COME = 2;
const EXHAUST_ALLOWED = 0x10000;
let serial = 0;

function mongodbDocument(command) {
	const name = Object.keys(command)[0].toLowerCase();

	if (name === "hello" || name === "ismaster")
		return {
			ok: new Double(1),
			helloOk: true,
			isWritablePrimary: true,
			ismaster: true,
			maxBsonObjectSize: 16777216,
			maxMessageSizeBytes: 48000000,
			maxWriteBatchSize: 100000,
			minWireVersion: 0,
			maxWireVersion: 21,
			readOnly: false,
			topologyVersion: { processId: "0123456789ab", counter: 0 },
		};
	if (name === "nonsense")
		return { ok: new Double(0), errmsg: "no such command", code: 59, codeName: "CommandNotFound" };
	return { ok: new Double(1) };
}

// An answer by OP_REPLY to OP_QUERY, else by OP_MSG.
function mongodb(message) {
	const id = message.readInt32LE(4);
	const query = message.readInt32LE(12) === QUERY;
	const flags = message.readInt32LE(16);
	const document = query ? message.subarray(message.indexOf(0, 20) + 9) : message.subarray(21);

	if (!query && flags & (MORE_TO_COME | EXHAUST_ALLOWED))
		return null;
	const body = serialize(mongodbDocument(deserialize(document)));
	const head = Buffer.alloc(query ? 36 : 21);

	head.writeInt32LE(head.length + body.length, 0);
	head.writeInt32LE(++serial, 4);
	head.writeInt32LE(id, 8);
	head.writeInt32LE(query ? 1 : 2013, 12);
	if (query)
		head.writeInt32LE(1, 32);
	return Buffer.concat([head, body]);
}

/* ---- Kafka */

const PRODUCE = 0;
const METADATA = 3;
const API_VERSIONS = 18;
const supported = [
	[PRODUCE, 3, 3],
	[METADATA, 1, 1],
	[API_VERSIONS, 0, 0],
];

const int16 = (v) => Buffer.from([v >> 8, v & 0xff]);
const int32 = (v) => Buffer.concat([int16(v >>> 16), int16(v & 0xffff)]);
const string = (s) => Buffer.concat([int16(s.length), Buffer.from(s)]);
const array = (...items) => Buffer.concat([int32(items.length), ...items]);

function kafkaBody(api, message) {
	switch (api) {
	case API_VERSIONS:
		return [int16(0), array(...supported.map((s) => Buffer.concat(s.map(int16))))];
	case METADATA: {
		const broker = [int32(1), string("127.0.0.1"), int32(Number(process.argv[3])), int16(-1)];
		const partition = [int16(0), int32(0), int32(1), array(int32(1)), array(int32(1))];
		const topic = [int16(0), string("t"), Buffer.from([0]), array(Buffer.concat(partition))];

		return [array(Buffer.concat(broker)), int32(1), array(Buffer.concat(topic))];
	}
	case PRODUCE: {
		const acks = message.readInt16BE(14 + message.readInt16BE(12) + 2);
		const partition = [int32(0), int16(0), Buffer.alloc(8), Buffer.alloc(8, 0xff)];

		if (acks === 0)
			return null;
		return [array(Buffer.concat([string("t"), array(Buffer.concat(partition))])), int32(0)];
	}
	}
	throw new Error(`api ${api}`);
}

function kafka(message) {
	const body = kafkaBody(message.readInt16BE(4), message);

	if (!body)
		return null;
	const payload = Buffer.concat([message.subarray(8, 12), ...body]);

	return Buffer.concat([int32(payload.length), payload]);
}

process.on("SIGTERM", () => process.exit(answered));
if (process.argv[2] === "mongodb")
	serve((b) => b.readInt32LE(0), mongodb);
else
	serve((b) => b.readInt32BE(0) + 4, kafka);

// Real client libraries: node client.js KIND PORT. What each does is counted in ../capture_broker_test.c
// and ../capture_database_test.c.
import amqp from "amqplib";
import { Kafka, logLevel } from "kafkajs";
import { MongoClient } from "mongodb";
import { connect as connectNats } from "nats";

const port = Number(process.argv[3]);

async function mongodb() {
	// Streamed monitoring measures round trips on a connection of its own, done or not at close().
	const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, {
		serverMonitoringMode: "poll",
	});
	const db = client.db("shop");
	const failed = [];

	for (let i = 0; i < 20; i++)
		await db.command({ ping: 1 });
	for (let i = 0; i < 4; i++)
		await db.command({ nonsense: 1 }).catch((e) => failed.push(e));
	for (let i = 0; i < 5; i++)
		await db.collection("cart").insertOne({ i }, { writeConcern: { w: 0 } });
	await db.command({ ping: 1 });
	await client.close();
	return failed.length === 4;
}

async function kafka() {
	const kafka = new Kafka({
		clientId: "client",
		brokers: [`127.0.0.1:${port}`],
		logLevel: logLevel.NOTHING,
	});
	const producer = kafka.producer();

	await producer.connect();
	for (const acks of [-1, 0, -1])
		for (let i = 0; i < 10; i++)
			await producer.send({ topic: "t", acks, messages: [{ value: "v" }] });
	await producer.disconnect();
	return true;
}

async function amqpCalls() {
	const connection = await amqp.connect(`amqp://127.0.0.1:${port}`);
	const asking = await connection.createChannel();

	for (let i = 0; i < 20; i++)
		await asking.assertQueue("", { exclusive: true });
	await connection.close();
	return true;
}

async function amqpStream() {
	const connection = await amqp.connect(`amqp://127.0.0.1:${port}`);
	const channel = await connection.createConfirmChannel();
	const { queue } = await channel.assertQueue("", { exclusive: true });
	let left = 20;

	await new Promise((done) => {
		channel.consume(queue, (m) => {
			channel.ack(m);
			if (--left === 0)
				done();
			else
				setTimeout(() => channel.sendToQueue(queue, Buffer.from("m")), 20);
		});
		channel.sendToQueue(queue, Buffer.from("m"));
	});
	await connection.close();
	return true;
}

async function nats() {
	const connection = await connectNats({ servers: `127.0.0.1:${port}` });

	connection.subscribe("s", { callback: (_, m) => m.respond("r") });
	for (let i = 0; i < 20; i++)
		await connection.request("s", "q");
	await connection.close();
	return true;
}

const kinds = { mongodb, kafka, amqp: amqpCalls, "amqp-stream": amqpStream, nats };

process.exit((await kinds[process.argv[2]]()) ? 0 : 1);

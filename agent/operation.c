#include "agent/operation.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

_Static_assert(WIRE_OPERATION > sizeof("PREPARE ") + RPC_OPERATION, "any key's name fits");

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A key as a string; one byte more than a key has. */
typedef char text[RPC_OPERATION + 1];

/* ---- numbers that have names: public lists of each protocol */

static const char *const kafka_apis[] = {"Produce", "Fetch", "ListOffsets", "Metadata",
	"LeaderAndIsr", "StopReplica", "UpdateMetadata", "ControlledShutdown", "OffsetCommit",
	"OffsetFetch", "FindCoordinator", "JoinGroup", "Heartbeat", "LeaveGroup", "SyncGroup",
	"DescribeGroups", "ListGroups", "SaslHandshake", "ApiVersions", "CreateTopics",
	"DeleteTopics", "DeleteRecords", "InitProducerId", "OffsetForLeaderEpoch",
	"AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "WriteTxnMarkers", "TxnOffsetCommit",
	"DescribeAcls", "CreateAcls", "DeleteAcls", "DescribeConfigs", "AlterConfigs",
	"AlterReplicaLogDirs", "DescribeLogDirs", "SaslAuthenticate", "CreatePartitions",
	"CreateDelegationToken", "RenewDelegationToken", "ExpireDelegationToken",
	"DescribeDelegationToken", "DeleteGroups", "ElectLeaders", "IncrementalAlterConfigs",
	"AlterPartitionReassignments", "ListPartitionReassignments", "OffsetDelete",
	"DescribeClientQuotas", "AlterClientQuotas", "DescribeUserScramCredentials",
	"AlterUserScramCredentials"};

static const char *const memcached_opcodes[] = {"get", "set", "add", "replace", "delete", "incr",
	"decr", "quit", "flush_all", "get", "noop", "version", "get", "get", "append", "prepend",
	"stat", "set", "add", "replace", "delete", "incr", "decr", "quit", "flush_all", "append",
	"prepend", "verbosity", "touch", "gat", "gat", NULL, "sasl_list", "sasl_auth", "sasl_step",
	"gat", "gat"};

static const char *const mysql_commands[] = {NULL, "QUIT", "INIT_DB", "QUERY", "FIELD_LIST",
	"CREATE_DB", "DROP_DB", "REFRESH", "SHUTDOWN", "STATISTICS", "PROCESS_INFO", NULL,
	"PROCESS_KILL", "DEBUG", "PING", NULL, NULL, "CHANGE_USER", NULL, NULL, NULL, NULL,
	"PREPARE", "EXECUTE", "LONG_DATA", "CLOSE", "RESET", "SET_OPTION", "FETCH", NULL, NULL,
	"RESET_CONNECTION"};

struct numbered {
	uint8_t class, number;
	const char *name;
};

static const struct numbered amqp_methods[] = {
	{20, 10, "channel.open"},
	{20, 20, "channel.flow"},
	{20, 40, "channel.close"},
	{40, 10, "exchange.declare"},
	{40, 20, "exchange.delete"},
	{40, 30, "exchange.bind"},
	{40, 40, "exchange.unbind"},
	{50, 10, "queue.declare"},
	{50, 20, "queue.bind"},
	{50, 30, "queue.purge"},
	{50, 40, "queue.delete"},
	{50, 50, "queue.unbind"},
	{60, 10, "basic.qos"},
	{60, 30, "basic.cancel"},
	{60, 70, "basic.get"},
	{60, 110, "basic.recover"},
	{85, 10, "confirm.select"},
	{90, 10, "tx.select"},
	{90, 20, "tx.commit"},
	{90, 30, "tx.rollback"},
};

/* PostgreSQL's messages that say no statement. */
static const struct numbered postgresql_messages[] = {
	{0, 'Q', "QUERY"},
	{0, 'P', "PARSE"},
	{0, 'B', "EXECUTE"}, /* a prepared statement's parameters, then that */
	{0, 'E', "EXECUTE"},
	{0, 'D', "DESCRIBE"},
	{0, 'C', "CLOSE"},
	{0, 'S', "SYNC"},
	{0, 'F', "FUNCTION"},
};

/* What statements begin with; others could be anything. */
static const char *const sql_verbs[] = {"ALTER", "ANALYZE", "BEGIN", "CALL", "CLOSE", "COMMIT",
	"COPY", "CREATE", "DEALLOCATE", "DECLARE", "DELETE", "DISCARD", "DO", "DROP", "END",
	"EXECUTE", "EXPLAIN", "FETCH", "GRANT", "INSERT", "LISTEN", "LOAD", "LOCK", "MERGE",
	"NOTIFY", "PREPARE", "REFRESH", "REINDEX", "RELEASE", "REPLACE", "RESET", "REVOKE",
	"ROLLBACK", "SAVEPOINT", "SELECT", "SET", "SHOW", "START", "TABLE", "TRUNCATE", "UNLISTEN",
	"UNLOCK", "UPDATE", "USE", "VACUUM", "VALUES", "WITH"};

static const char *const http_methods[] = {
	"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"};

/* ---- */

static bool put(char to[WIRE_OPERATION], const char *name)
{
	if (name)
		snprintf(to, WIRE_OPERATION, "%s", name);
	return name != NULL;
}

static const char *listed(const char *const *names, size_t count, unsigned number)
{
	return number < count ? names[number] : NULL;
}

static const char *paired(const struct numbered *rows, size_t count, uint8_t class, uint8_t number)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].class == class && rows[i].number == number)
			return rows[i].name;
	return NULL;
}

/* Letters and digits, and of other characters those given. */
static bool consists(const char *name, const char *others)
{
	for (const char *at = name; *at; at++)
		if (!isascii(*at) || (!isalnum(*at) && !strchr(others, *at)))
			return false;
	return *name != 0;
}

/* Whether the first word of `name` is one of these; the list is in order. */
static bool begins_with_one(const char *const *words, size_t count, const char *name)
{
	size_t size = strcspn(name, " ");

	for (size_t i = 0; i < count; i++)
		if (strlen(words[i]) == size && !strncmp(words[i], name, size))
			return true;
	return false;
}

static bool http_name(char to[WIRE_OPERATION], const char *key)
{
	const char *path = strchr(key, ' ');

	if (!path || !begins_with_one(http_methods, COUNT(http_methods), key) ||
		!consists(path, " /*-_."))
		return false;
	return put(to, key);
}

/* `unsaid` is the name where the statement does not begin with a verb. */
static bool sql_name(
	char to[WIRE_OPERATION], const char *before, const char *key, const char *unsaid)
{
	if (!begins_with_one(sql_verbs, COUNT(sql_verbs), key) || !consists(key, " _.*"))
		return put(to, unsaid);
	snprintf(to, WIRE_OPERATION, "%s%s", before, key);
	return true;
}

static bool postgresql_name(char to[WIRE_OPERATION], const char *key)
{
	if (key[0] && !key[1])
		return put(to, paired(postgresql_messages, COUNT(postgresql_messages), 0,
				       (uint8_t)key[0]));
	return sql_name(to, "", key, "QUERY");
}

static bool mysql_name(char to[WIRE_OPERATION], const char *key)
{
	unsigned command = (uint8_t)key[0];

	if (command < COUNT(mysql_commands) && key[1])
		return sql_name(to, "PREPARE ", key + 1, "PREPARE");
	if (command < COUNT(mysql_commands))
		return put(to, mysql_commands[command]);
	return sql_name(to, "", key, "QUERY");
}

static bool memcached_name(char to[WIRE_OPERATION], const char *key)
{
	if ((uint8_t)key[0] == 0x80)
		return put(
			to, listed(memcached_opcodes, COUNT(memcached_opcodes), (uint8_t)key[1]));
	return consists(key, "") && put(to, key);
}

bool operation_name(
	char to[WIRE_OPERATION], unsigned protocol, const struct rpc_operation_text *key)
{
	text t = "";

	memcpy(t, key->byte, sizeof(key->byte));
	switch (protocol) {
	case WIRE_HTTP1:
		return http_name(to, t);
	case WIRE_THRIFT:
	case WIRE_MONGODB:
		return consists(t, "_.-:*") && put(to, t);
	case WIRE_REDIS:
		return consists(t, "_.-:") && put(to, t);
	case WIRE_MEMCACHED:
		return memcached_name(to, t);
	case WIRE_POSTGRESQL:
		return postgresql_name(to, t);
	case WIRE_MYSQL:
		return mysql_name(to, t);
	case WIRE_KAFKA:
		return put(to, listed(kafka_apis, COUNT(kafka_apis), key->byte[1]));
	case WIRE_AMQP:
		return put(
			to, paired(amqp_methods, COUNT(amqp_methods), key->byte[0], key->byte[1]));
	default:
		return false;
	}
}

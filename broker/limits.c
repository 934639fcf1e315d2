/* A Mosquitto plugin: what one client may leave with the broker, how fast it may send, and what one
 * message may carry.
 *
 * Mosquitto 2.0 bounds none of these. Load this before the plugin of access control: a plugin that
 * allows a message ends the search.
 * Link it with libmosquitto, for Debian's broker does not export mosquitto_property_next().
 *
 * Options: status_root (topics below ROOT/NAME/ belong to the client whose user name is NAME),
 * retained_topics (of each client, there), retained_bytes (of one payload), properties and
 * retained_properties (of one message); messages_per_second and bytes_per_second (of payloads) of
 * each client, and retained_per_second, which counts retained messages apart, so that a device that
 * sends too many faces is still heard of; 0, the default, is no limit; unlimited (user names of
 * those without these three, with spaces between); report_topic (where to say who floods).
 */

#define _POSIX_C_SOURCE 200809L

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#define BURST 5.0            /* seconds of its rate that a client may send at once */
#define PERIOD 10            /* seconds from one report to the next */
#define FLOOD (2.0 * PERIOD) /* seconds of its rate, refused in one period: honest ones stay below */
#define SAID_EVERY 60.0      /* seconds from one line of the log about a client to the next */
#define QUIET 60.0           /* seconds without a flood, after which a client is not named any more */
#define PROPERTIES_COST 1.0  /* seconds of its rate that a message with too many properties counts */
#define NAMED 5              /* clients that one report names */
#define NAME_MAX 63          /* characters of a name that is reported, as in common/protocol */

struct owner {
	struct owner *next; /* the one who published last comes first */
	char *name;
	double full, retained_full; /* token buckets, each as the time at which it is full again */
	double beyond;              /* seconds of its rate that were refused in this period */
	unsigned long refused;      /* messages */
	unsigned long said;         /* how many of these the log knows of */
	double said_at, flooded_at; /* 0: never */
	int count;
	char *topics[]; /* `retained_topics` places; the topic that was published last comes first */
};

static mosquitto_plugin_id_t *plugin;
static struct owner *owners;
static const char *status_root = "faces/status";
static unsigned long retained_topics = 50;
static unsigned long retained_bytes = 16384;
static unsigned long max_properties = 64;
static unsigned long retained_properties; /* a status has none */
static unsigned long messages_per_second, bytes_per_second, retained_per_second;
static const char *unlimited = "", *report_topic;
static double report_at;
static bool reported;
static bool refused; /* anything, in this period */

static struct owner *find_owner(const char *name)
{
	for (struct owner **link = &owners; *link; link = &(*link)->next) {
		struct owner *found = *link;
		if (strcmp(found->name, name) == 0) {
			*link = found->next;
			found->next = owners;
			return owners = found;
		}
	}
	struct owner *added = mosquitto_calloc(1, sizeof *added + retained_topics * sizeof(char *));
	if (!added || !(added->name = mosquitto_strdup(name))) {
		mosquitto_free(added);
		return NULL;
	}
	added->next = owners;
	return owners = added;
}

/* Move `topic` to the front. Where there are too many, the broker forgets the last one. */
static int keep_topic(struct owner *owner, const char *topic)
{
	int at = 0;
	while (at < owner->count && strcmp(owner->topics[at], topic) != 0)
		at++;
	char *kept;
	if (at < owner->count) {
		kept = owner->topics[at];
	} else {
		kept = mosquitto_strdup(topic);
		if (!kept)
			return MOSQ_ERR_NOMEM;
		if ((unsigned long)owner->count < retained_topics) {
			owner->count++;
		} else {
			char *oldest = owner->topics[--at];
			/* Not ..._copy(): 2.0.21 frees more there than it has counted. */
			mosquitto_broker_publish(NULL, oldest, 0, NULL, 0, true, NULL);
			mosquitto_free(oldest);
		}
	}
	memmove(owner->topics + 1, owner->topics, at * sizeof(char *));
	owner->topics[0] = kept;
	return MOSQ_ERR_SUCCESS;
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static bool is_unlimited(const char *name)
{
	size_t length = strlen(name);
	for (const char *at = unlimited; (at = strstr(at, name)); at += length)
		if ((at == unlimited || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
			return true;
	return false;
}

static void count_refused(struct owner *owner, double cost)
{
	owner->beyond += cost;
	owner->refused++;
	refused = true;
}

static double per(double amount, unsigned long rate)
{
	return rate ? amount / rate : 0;
}

/* Whether one more message keeps to its sender's rate. It counts whether access is granted or not,
 * since to deny a message costs the broker as much. */
static bool within_rate(const struct mosquitto_evt_acl_check *asked, const char *name)
{
	double cost = per(1, asked->retain ? retained_per_second : messages_per_second);
	double bytes = per(asked->payloadlen, bytes_per_second);
	if (bytes > cost)
		cost = bytes;
	if (cost == 0 || is_unlimited(name))
		return true;
	struct owner *owner = find_owner(name);
	if (!owner)
		return false;
	double now = seconds(), *full = asked->retain ? &owner->retained_full : &owner->full;
	double after = (*full > now ? *full : now) + cost;
	if (after <= now + BURST) {
		*full = after;
		return true;
	}
	count_refused(owner, cost);
	return false;
}

static void say_in_log(struct owner *owner, double now)
{
	if (owner->refused == owner->said || (owner->said && now < owner->said_at + SAID_EVERY))
		return;
	mosquitto_log_printf(MOSQ_LOG_NOTICE, "Client %s sends too much: %lu messages refused.",
	                     owner->name, owner->refused - owner->said);
	owner->said = owner->refused;
	owner->said_at = now;
}

static bool is_flooding(struct owner *owner, double now)
{
	if (owner->beyond > FLOOD)
		owner->flooded_at = now;
	owner->beyond = 0;
	return owner->flooded_at && now < owner->flooded_at + QUIET;
}

static bool is_json_safe(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return length <= NAME_MAX && !name[length];
}

/* Publish a status such as our services have (common/protocol/status.py), as long as it has a
 * flooding client to name; then delete it. */
static void report(double now)
{
	char reasons[NAMED * 100] = "", counts[NAMED * 100] = "", status[2 * NAMED * 100 + 200], at[32];
	int named = 0;
	for (struct owner *one = owners; one; one = one->next) {
		say_in_log(one, now);
		if (!is_flooding(one, now) || named == NAMED || !is_json_safe(one->name))
			continue;
		const char *comma = named++ ? "," : "";
		sprintf(reasons + strlen(reasons), "%s\"sender_%s\":\"floods\"", comma, one->name);
		sprintf(counts + strlen(counts), "%s\"%s\":%lu", comma, one->name, one->refused);
	}
	if (!report_topic || (!named && !reported))
		return;
	time_t wall = time(NULL);
	strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime(&wall));
	int length = sprintf(status,
	                     "{\"state\":\"online\",\"at\":\"%s\",\"period\":%d,\"version\":\"\","
	                     "\"status\":\"degraded\",\"reasons\":{%s},\"refused\":{%s}}",
	                     at, PERIOD, reasons, counts);
	/* Not ..._copy(), as above: the broker frees the payload. */
	char *payload = named ? mosquitto_strdup(status) : NULL;
	mosquitto_broker_publish(NULL, report_topic, payload ? length : 0, payload, 0, true, NULL);
	reported = named;
}

static int on_tick(int event, void *data, void *user)
{
	(void)event, (void)data, (void)user;
	double now = seconds();
	if (now < report_at)
		return MOSQ_ERR_SUCCESS;
	report_at = now + PERIOD;
	report(now);
	/* A message of 800,000 properties leaves holes that glibc would keep. */
	if (refused)
		malloc_trim(0);
	refused = false;
	return MOSQ_ERR_SUCCESS;
}

static int on_access(int event, void *data, void *user)
{
	(void)event, (void)user;
	struct mosquitto_evt_acl_check *asked = data;
	if (asked->access != MOSQ_ACL_WRITE)
		return MOSQ_ERR_PLUGIN_DEFER;
	const char *name = mosquitto_client_username(asked->client);
	if (name && !within_rate(asked, name))
		return MOSQ_ERR_ACL_DENIED;
	if (!asked->retain)
		return MOSQ_ERR_PLUGIN_DEFER;
	if (asked->payloadlen > retained_bytes)
		return MOSQ_ERR_ACL_DENIED;
	/* Whether the client may write there at all is not known yet, so only its own topics count. */
	size_t root = strlen(status_root), length = name ? strlen(name) : 0;
	if (!length || strncmp(asked->topic, status_root, root) != 0 || asked->topic[root] != '/' ||
	    strncmp(asked->topic + root + 1, name, length) != 0 ||
	    asked->topic[root + 1 + length] != '/')
		return MOSQ_ERR_PLUGIN_DEFER;
	struct owner *owner = find_owner(name);
	if (!owner || keep_topic(owner, asked->topic) != MOSQ_ERR_SUCCESS)
		return MOSQ_ERR_ACL_DENIED;
	return MOSQ_ERR_PLUGIN_DEFER;
}

static int on_message(int event, void *data, void *user)
{
	(void)event, (void)user;
	const struct mosquitto_evt_message *message = data;
	unsigned long left = message->retain ? retained_properties : max_properties;
	const mosquitto_property *one = message->properties;
	while (one && left--)
		one = mosquitto_property_next(one);
	if (!one)
		return MOSQ_ERR_SUCCESS;
	const char *name = mosquitto_client_username(message->client);
	struct owner *owner = name ? find_owner(name) : NULL;
	if (owner)
		count_refused(owner, PROPERTIES_COST);
	return MOSQ_ERR_ACL_DENIED;
}

int mosquitto_plugin_version(int count, const int *versions)
{
	for (int i = 0; i < count; i++)
		if (versions[i] == 5)
			return 5;
	return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **user, struct mosquitto_opt *options,
                          int count)
{
	(void)user;
	struct {
		const char *name;
		unsigned long *value;
	} numbers[] = {
		{"retained_topics", &retained_topics},
		{"retained_bytes", &retained_bytes},
		{"properties", &max_properties},
		{"retained_properties", &retained_properties},
		{"messages_per_second", &messages_per_second},
		{"bytes_per_second", &bytes_per_second},
		{"retained_per_second", &retained_per_second},
	};
	struct {
		const char *name;
		const char **value; /* lives as long as the plugin */
	} texts[] = {
		{"status_root", &status_root},
		{"unlimited", &unlimited},
		{"report_topic", &report_topic},
	};
	for (int i = 0; i < count; i++) {
		for (size_t n = 0; n < sizeof texts / sizeof *texts; n++)
			if (strcmp(options[i].key, texts[n].name) == 0)
				*texts[n].value = options[i].value;
		for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
			if (strcmp(options[i].key, numbers[n].name) == 0)
				*numbers[n].value = strtoul(options[i].value, NULL, 10);
	}
	if (retained_topics == 0)
		return MOSQ_ERR_INVAL;
	plugin = id;
	int rc = mosquitto_callback_register(id, MOSQ_EVT_ACL_CHECK, on_access, NULL, NULL);
	if (!rc)
		rc = mosquitto_callback_register(id, MOSQ_EVT_MESSAGE, on_message, NULL, NULL);
	return rc ? rc : mosquitto_callback_register(id, MOSQ_EVT_TICK, on_tick, NULL, NULL);
}

int mosquitto_plugin_cleanup(void *user, struct mosquitto_opt *options, int count)
{
	(void)user, (void)options, (void)count;
	mosquitto_callback_unregister(plugin, MOSQ_EVT_ACL_CHECK, on_access, NULL);
	mosquitto_callback_unregister(plugin, MOSQ_EVT_MESSAGE, on_message, NULL);
	mosquitto_callback_unregister(plugin, MOSQ_EVT_TICK, on_tick, NULL);
	while (owners) {
		struct owner *gone = owners;
		owners = gone->next;
		for (int i = 0; i < gone->count; i++)
			mosquitto_free(gone->topics[i]);
		mosquitto_free(gone->name);
		mosquitto_free(gone);
	}
	return MOSQ_ERR_SUCCESS;
}

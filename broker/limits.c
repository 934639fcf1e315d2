/* A Mosquitto plugin: what one client may leave with the broker, and what one message may carry.
 *
 * Mosquitto 2.0 bounds neither the number of retained messages nor that of properties. Load this
 * before the plugin of access control: a plugin that allows a message ends the search.
 * Link it with libmosquitto, for Debian's broker does not export mosquitto_property_next().
 *
 * Options: status_root (topics below ROOT/NAME/ belong to the client whose user name is NAME),
 * retained_topics (of each client, there), retained_bytes (of one payload), properties and
 * retained_properties (of one message).
 */

#include <stdlib.h>
#include <string.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

struct owner {
	struct owner *next; /* the one who published last comes first */
	char *name;
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

static int on_access(int event, void *data, void *user)
{
	(void)event, (void)user;
	struct mosquitto_evt_acl_check *asked = data;
	if (asked->access != MOSQ_ACL_WRITE || !asked->retain)
		return MOSQ_ERR_PLUGIN_DEFER;
	if (asked->payloadlen > retained_bytes)
		return MOSQ_ERR_ACL_DENIED;
	/* Whether the client may write there at all is not known yet, so only its own topics count. */
	const char *name = mosquitto_client_username(asked->client);
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
	for (; one; one = mosquitto_property_next(one))
		if (left-- == 0)
			return MOSQ_ERR_ACL_DENIED;
	return MOSQ_ERR_SUCCESS;
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
	};
	for (int i = 0; i < count; i++) {
		if (strcmp(options[i].key, "status_root") == 0)
			status_root = options[i].value; /* lives as long as the plugin */
		for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
			if (strcmp(options[i].key, numbers[n].name) == 0)
				*numbers[n].value = strtoul(options[i].value, NULL, 10);
	}
	if (retained_topics == 0)
		return MOSQ_ERR_INVAL;
	plugin = id;
	int rc = mosquitto_callback_register(id, MOSQ_EVT_ACL_CHECK, on_access, NULL, NULL);
	return rc ? rc : mosquitto_callback_register(id, MOSQ_EVT_MESSAGE, on_message, NULL, NULL);
}

int mosquitto_plugin_cleanup(void *user, struct mosquitto_opt *options, int count)
{
	(void)user, (void)options, (void)count;
	mosquitto_callback_unregister(plugin, MOSQ_EVT_ACL_CHECK, on_access, NULL);
	mosquitto_callback_unregister(plugin, MOSQ_EVT_MESSAGE, on_message, NULL);
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

/*
 * valija.conf of any octets: refused with a message that names the file, or taken; what is taken is
 * within its bounds and says the same when it is written and read again.
 */
#include "config/config.h"

#include "base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NAME "/etc/valija/valija.conf"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static bool ended(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

static void check_bounds(const struct config *config)
{
	check(config->listener_count >= 1 && config->listener_count <= CONFIG_LISTENERS_MAX);
	check(config->certificate_count <= CONFIG_CERTIFICATES_MAX);
	check(config->idle_seconds >= 600);
	check(config->log_level <= 3);
	check(config->root_count >= 1 && config->root_count <= CONFIG_ROOTS_MAX);
	check(config->roots[0].path[0] == '/' && config->users[0] == '/');
	check(ended(config->roots[0].path, sizeof(config->roots[0].path)) &&
	      ended(config->users, sizeof(config->users)));
	check(ended(config->domains, sizeof(config->domains)));
	check(ended(config->mechanisms, sizeof(config->mechanisms)));
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];

		check(ended(listener->address, sizeof(listener->address)));
		check((listener->port == 0) == (listener->address[0] == '/'));
		check(listener->service != SERVICE_LMTP || listener->port != 25);
	}
	for (uint32_t i = 0; i < config->certificate_count; i++)
		check(config->certificates[i].certificate[0] == '/' &&
		      config->certificates[i].key[0] == '/');
}

/* Nothing that was written can be refused, unless a path reached its ceiling. */
static void check_written(const struct config *config)
{
	static struct config again;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct err err = {0};

	check(out != NULL);
	check(config_write_file(config, out, &err) == 0);
	check(fclose(out) == 0);
	check(config_parse((pop3_span){text, size}, NAME, &again, &err) == 0);
	check(config->root_count == again.root_count);
	check(strcmp(config->roots[0].path, again.roots[0].path) == 0 &&
	      strcmp(config->users, again.users) == 0);
	check(strcmp(config->host_name, again.host_name) == 0);
	check(config->listener_count == again.listener_count);
	check(config->certificate_count == again.certificate_count);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config;
	struct err err = {0};

	if (config_parse((pop3_span){(const char *)data, size}, NAME, &config, &err) < 0) {
		check(strncmp(err.text, NAME ":", sizeof(NAME)) == 0);
		return 0;
	}
	check_bounds(&config);
	check_written(&config);
	return 0;
}

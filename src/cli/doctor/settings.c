/* Of finding.h: settings that are weak, what `valijad -t` says, and whether databases answer. */
#include "cli/asker.h"
#include "cli/doctor/finding.h"

#include "base/text.h"
#include "config/database.h"
#include "config/listener.h"
#include "config/rules.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A listener that other machines can reach, as far as its address says. */
static bool is_public(const struct config_listener *listener)
{
	return listener->port && strncmp(listener->address, "127.", 4) != 0 &&
	       strcmp(listener->address, "::1") != 0 && strcmp(listener->address, "localhost") != 0;
}

/* A listener that lets in what the site does not: clear text, or old TLS, from some networks. */
static void judge_rules(const struct doctor *doctor, const struct config_listener *listener,
			const struct config_rules *rules)
{
	char where[CONFIG_PATH_MAX + 16], networks[256], mend[CONFIG_PATH_MAX + 256];

	config_listener_print(listener, where, sizeof(where));
	if (rules->plain_networks.count) {
		config_networks_text(&rules->plain_networks, networks, sizeof(networks));
		snprintf(mend, sizeof(mend),
			 "when its last old client has TLS: leave plain_networks out of listener "
			 "\"%s\"",
			 where);
		find(doctor, SEVERITY_WARNING, "settings", mend,
		     "%s takes passwords in clear text from %s: whoever sees packets there reads "
		     "them",
		     where, networks);
	}
	if (config_tls_is_old(rules->tls_min)) {
		config_networks_text(&rules->tls_min_networks, networks, sizeof(networks));
		snprintf(mend, sizeof(mend),
			 "when its last old client knows TLS 1.2: leave tls_min out of listener "
			 "\"%s\"",
			 where);
		find(doctor, SEVERITY_WARNING, "settings", mend,
		     "%s takes TLS %s from %s: it is signed with MD5 and SHA-1, and can be broken",
		     where, rules->tls_min == CONFIG_TLS_1_0 ? "1.0" : "1.1", networks);
	}
}

void check_settings(const struct doctor *doctor)
{
	const struct config *config = doctor->config;
	bool clear = false;

	for (uint32_t i = 0; i < config->listener_count; i++)
		clear |= config->listeners[i].service == SERVICE_POP3 &&
			 is_public(&config->listeners[i]);
	if (config->plain_without_tls)
		find(doctor, SEVERITY_WARNING, "settings", "login.plain_without_tls = no",
		     "passwords may come in clear text from any network");
	if (clear && !config->certificate_count && !config->plain_without_tls)
		find(doctor, SEVERITY_WARNING, "settings",
		     "set tls \"default\" { certificate = ... key = ... }",
		     "POP3 is open to other machines and has no certificate: nobody can log in");
	if (!config->failure_delay_ms || !config->failure_delay_max_ms)
		find(doctor, SEVERITY_WARNING, "settings", "login.failure_delay = 1s",
		     "wrong passwords are answered at once: guessing costs nothing");
	if (!config->max_connections_per_address)
		find(doctor, SEVERITY_WARNING, "settings", "limits.connections_per_address = 100",
		     "one address may have all connections");
	if (!config->max_sessions_per_user)
		find(doctor, SEVERITY_WARNING, "settings", "limits.sessions_per_user = 10",
		     "one user may have any number of sessions");
	for (uint32_t i = 0; i < config->listener_count; i++)
		judge_rules(doctor, &config->listeners[i], &config->rules[i]);
	if (config->apop)
		find(doctor, SEVERITY_NOTE, "settings", "login.apop = no",
		     "APOP is on: it needs passwords in clear text in the users file, and MD5");
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].service == SERVICE_CONTROL)
			return;
	find(doctor, SEVERITY_NOTE, "settings", "control { socket = \"/run/valija/control\" }",
	     "there is no control.socket: valija who, kick and ban do not reach the server");
}

/* ---- valijad -t ---- */

/* The server beside this program, or where packages put it. */
static const char *server_program(char *buf, size_t size)
{
	static const char *const places[] = {"valijad", "../sbin/valijad"};
	ssize_t n = readlink("/proc/self/exe", buf, size - 1);
	size_t folder;

	buf[n > 0 ? n : 0] = '\0';
	folder = strrchr(buf, '/') ? (size_t)(strrchr(buf, '/') - buf) + 1 : 0;
	for (size_t i = 0; folder && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(buf + folder, size - folder, "%s", places[i]);
		if (access(buf, X_OK) == 0)
			return buf;
	}
	return access("/usr/sbin/valijad", X_OK) == 0 ? "/usr/sbin/valijad" : NULL;
}

/* What the keeper of maildrops in RADOS says of their cluster is a check of its own. The text has
 * what to do. */
static bool take_text(const struct doctor *doctor, enum severity severity, const char *text)
{
	static const char rados[] = "rados: ";
	char mend[CONFIG_PATH_MAX + 64];
	bool cluster = strncmp(text, rados, strlen(rados)) == 0;

	if (!cluster) {
		find(doctor, severity, "configuration", NULL, "%s", text);
		return false;
	}
	snprintf(mend, sizeof(mend), "then: valijad -t -c %s, which tries it again",
		 doctor->config->file);
	find(doctor, severity, "cluster", mend, "%s", text + strlen(rados));
	return true;
}

/* "valijad: warning: TEXT" and "valijad: TEXT" lines. Returns whether it is about a cluster. */
static bool take_line(const struct doctor *doctor, const char *line, bool failed)
{
	static const char warning[] = "valijad: warning: ", error[] = "valijad: ";

	/* check_settings has those of listeners' rules, with their networks */
	if (strstr(line, "from its plain_networks") || strstr(line, "from its tls_min_networks"))
		return false;
	if (strncmp(line, warning, strlen(warning)) == 0)
		return take_text(doctor, SEVERITY_WARNING, line + strlen(warning));
	if (failed && strncmp(line, error, strlen(error)) == 0)
		return take_text(doctor, SEVERITY_ERROR, line + strlen(error));
	return false;
}

void check_configuration(const struct doctor *doctor)
{
	char path[4096], file[CONFIG_PATH_MAX], test[] = "-t", conf[] = "-c", out[16384];
	const char *program = server_program(path, sizeof(path));
	char *argv[] = {path, test, conf, file, NULL}, *rest = out, *line;
	bool cluster = doctor->config->store != 1 + CONFIG_RADOS; /* something was said of it */
	int code;

	if (!program) {
		find(doctor, SEVERITY_NOTE, "configuration", NULL,
		     "valijad is not on this machine: its own check was left out");
		return;
	}
	if (program != path)
		snprintf(path, sizeof(path), "%s", program);
	snprintf(file, sizeof(file), "%s", doctor->config->file);
	code = check_program(argv, out, sizeof(out));
	while ((line = strsep(&rest, "\n")))
		cluster |= take_line(doctor, line, code != 0);
	if (code == 0 && !cluster)
		find(doctor, SEVERITY_OK, "cluster", NULL,
		     "the cluster of %s answers: pools, key and marks are as they have to be",
		     doctor->config->rados_conf);
	if (code == 0)
		find(doctor, SEVERITY_OK, "configuration", NULL, "valijad -t finds %s good", file);
	else
		find(doctor, SEVERITY_ERROR, "configuration", "see the lines above it",
		     "valijad -t -c %s fails with %d: a start or a reload would", file, code);
}

/* ---- databases ---- */

void check_databases(const struct doctor *doctor)
{
	static struct asker_answer answer;

	for (uint32_t i = 0; i < doctor->config->database_count; i++) {
		const struct config_database *database = &doctor->config->databases[i];
		struct err err = {0};
		char mend[CONFIG_PATH_MAX + 64];

		snprintf(mend, sizeof(mend), "valija user test -c %s NAME", doctor->config->file);
		memset(&answer, 0, sizeof(answer));
		if (asker_ask(doctor->config, database, SPAN_LITERAL("valija-doctor.invalid"), NULL,
			      &answer, &err) < 0)
			find(doctor, SEVERITY_ERROR, "databases", mend, "%s: %s", database->name,
			     err.text);
		else if (answer.status == LOOKUP_DOWN)
			find(doctor, SEVERITY_ERROR, "databases", mend, "%s does not answer: %s",
			     database->name, answer.said[0] ? answer.said : "it gave no reason");
		else
			find(doctor, SEVERITY_OK, "databases", NULL, "%s answers", database->name);
	}
}

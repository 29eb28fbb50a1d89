/*
 * valija-rados: `valija rados` in a program of its own, so that librados is in no command but
 * this.
 */
#include "build-config.h"
#include "base/text.h"
#include "maildrop/rados/health.h"
#include "maildrop/rados/mark.h"
#include "rados/cluster.h"
#include "rados/tool/audit.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct row {
	const char *name;
	tool_command *run;
	bool folder;       /* its first argument */
	const char *takes; /* options */
	const char *usage;
};

static const struct row rows[] = {
	{"init", init_command, false, "c", ""},
	{"check", check_command, false, "cnpRr",
	 "[--repair [--dry-run]] [--read [--rate N]] "
	 "[MAILDROP...]"},
	{"stats", stats_command, false, "ce", "[--each] [MAILDROP...]"},
	{"sweep", sweep_command, false, "cnr", "[--dry-run] [--rate N]"},
	{"export", export_command, true, "cnr", "[--dry-run] [--rate N] DIR [MAILDROP...]"},
	{"import", import_command, true, "cnr", "[--dry-run] [--rate N] DIR [MAILDROP...]"},
};

static int usage(FILE *out, int code)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		fprintf(out, "%s valija rados %s [-c CONF]%s%s\n",
			i ? "      " : "usage:", rows[i].name, *rows[i].usage ? " " : "",
			rows[i].usage);
	return code;
}

/* ---- init ---- */

static void warn(const char *text)
{
	fprintf(stderr, "valija rados: warning: %s\n", text);
}

int init_command(struct tool *tool, struct err *err)
{
	const struct config *config = tool->config;
	int marked;

	if (health_check(tool->engine, tool->pool, tool->bodies, config->rados_single_copy, warn,
			 err) < 0 ||
	    health_try(tool->engine, config->rados_user, tool->pool, tool->bodies, err) < 0)
		return -1;
	marked = mark_look(tool->engine, err);
	if (marked < 0 || mark_make(tool->engine, err) < 0)
		return -1;
	printf("pool %s (indexes) and pool %s (messages) %s\n", tool->pool, tool->bodies,
	       marked ? "have their marks" : "got their marks; if valijad runs, reload it");
	return EX_OK;
}

/* What an administrator of the cluster does first. */
static void advise_init(const struct tool *tool, const struct err *err)
{
	const char *pool = tool->pool, *bodies = tool->bodies, *user = tool->config->rados_user;
	bool same = strcmp(pool, bodies) == 0;

	if (err->code != EX_CONFIG && err->code != EX_NOPERM && err->code != EX_UNAVAILABLE)
		return;
	fprintf(stderr, "An administrator of the cluster makes pools and key so:\n");
	for (int i = 0; i < (same ? 1 : 2); i++) {
		const char *name = i ? bodies : pool;

		fprintf(stderr,
			"  ceph osd pool create %s\n"
			"  ceph osd pool application enable %s valija\n"
			"  ceph osd pool set %s size 3 && ceph osd pool set %s min_size 2\n",
			name, name, name, name);
	}
	fprintf(stderr, "  ceph auth get-or-create client.%s mon 'allow r' osd 'allow rwx pool=%s",
		user, pool);
	if (!same)
		fprintf(stderr, ", allow rw pool=%s", bodies);
	fprintf(stderr, "' -o /etc/ceph/ceph.client.%s.keyring\n", user);
}

/* ---- the connection ---- */

/* Export and import become the owner of their folder instead of the keeper, when they have
 * connected. */
static int with_cluster(struct tool *tool, const struct row *row, struct err *err)
{
	const struct config *config = tool->config;
	struct engine_settings settings = cluster_settings(config);
	int code = -1;

	if (!*config->rados_pool)
		return err_set(err, EX_CONFIG,
			       "%s: the section rados names no pool: rados { pool = \"NAME\" }",
			       config->file);
	if (!row->folder && cluster_become_keeper(config, err) < 0)
		return -1;
	tool->engine = engine_create(&settings, NULL, CLUSTER_CONNECT_MS, err);
	if (tool->engine && engine_connected(tool->engine, err))
		code = row->run(tool, err);
	engine_destroy(tool->engine);
	if (code < 0 && row->run == init_command)
		advise_init(tool, err);
	return code == EX_OK && tool->trouble ? EX_TEMPFAIL : code;
}

/* ---- arguments ---- */

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'}, {"dry-run", no_argument, NULL, 'n'},
	{"repair", no_argument, NULL, 'p'},       {"read", no_argument, NULL, 'R'},
	{"rate", required_argument, NULL, 'r'},   {"each", no_argument, NULL, 'e'},
	{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};

static int take_option(int c, struct tool *tool, const char **config)
{
	uint64_t rate;

	switch (c) {
	case 'c':
		*config = optarg;
		return 0;
	case 'n':
		tool->dry_run = true;
		return 0;
	case 'p':
		tool->repair = true;
		return 0;
	case 'R':
		tool->read = true;
		return 0;
	case 'e':
		tool->each = true;
		return 0;
	case 'r':
		if (span_number(span_of(optarg), 1000000, &rate) < 0 || !rate)
			return -1;
		tool->rate = (unsigned)rate;
		return 0;
	default:
		return -1;
	}
}

/* -1: not understood; 1: --help. */
static int parse(int argc, char **argv, const struct row *row, struct tool *tool,
		 const char **config)
{
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (c == 'h')
			return 1;
		if (!strchr(row->takes, c) || take_option(c, tool, config) < 0)
			return -1;
	}
	if (row->folder && optind < argc)
		tool->folder = argv[optind++];
	tool->maildrops = argv + optind;
	tool->maildrop_count = (unsigned)(argc - optind);
	if (row->folder && !tool->folder)
		return -1;
	return tool->maildrop_count && !strstr(row->usage, "MAILDROP") ? -1 : 0;
}

static int run(const struct row *row, struct tool *tool, const char *file)
{
	struct config *config = calloc(1, sizeof(*config));
	struct err err = {0};
	int code;

	if (!config)
		return EX_OSERR;
	tool->config = config;
	code = config_load(file, config, &err);
	tool->pool = config->rados_pool;
	tool->bodies = *config->rados_bodies ? config->rados_bodies : config->rados_pool;
	if (code == 0)
		code = with_cluster(tool, row, &err);
	if (code < 0) {
		fflush(stdout);
		fprintf(stderr, "valija rados %s: %s\n", row->name, err.text);
		code = err.code ? err.code : EX_TEMPFAIL;
	}
	free(config);
	return fflush(stdout) == 0 ? code : EX_IOERR;
}

int main(int argc, char **argv)
{
	const char *config = getenv("VALIJA_CONF");
	struct tool tool = {.orphan_s = ORPHAN_AGE_S};

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("valija-rados " VALIJA_VERSION);
		return EX_OK;
	}
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return usage(stdout, EX_OK);
	for (size_t i = 0; argc >= 2 && i < sizeof(rows) / sizeof(*rows); i++) {
		int rc;

		if (strcmp(argv[1], rows[i].name) != 0)
			continue;
		tool.command = rows[i].name;
		rc = parse(argc - 1, argv + 1, &rows[i], &tool, &config);
		if (rc != 0)
			return rc < 0 ? usage(stderr, EX_USAGE) : usage(stdout, EX_OK);
		return run(&rows[i], &tool, config ? config : "/etc/valija/valija.conf");
	}
	return usage(stderr, EX_USAGE);
}

/*
 * valija-keeper-rados: a child of valijad's monitor that keeps maildrops in Ceph RADOS. A program
 * of its own, so that librados is in no process but those that need it. With --check it
 * looks at a cluster for `valijad -t`; it becomes the owner of the mail folder for that.
 */
#include "build-config.h"
#include "config/config.h"
#include "maildrop/rados/health.h"
#include "maildrop/rados/mark.h"
#include "maildrop/rados/rados.h"
#include "rados/cluster.h"
#include "server/child.h"
#include "server/keeper/keeper.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { CHILD_FD = 3 };

static const struct child_role *const roles[ROLE_COUNT] = {[ROLE_KEEPER] = &keeper_role};

/* ---- as a keeper ---- */

/* Files that libraries read when they are used: names of hosts, the settings of libcrypto. */
static const char *const library_files[] = {
	"/etc/hosts",    "/etc/resolv.conf", "/etc/nsswitch.conf",  "/etc/host.conf",
	"/etc/gai.conf", "/etc/localtime",   "/etc/ssl/openssl.cnf"};

static int reach(const struct config *config, struct sandbox *sandbox, struct err *err)
{
	char files[ENGINE_FILES_MAX][ENGINE_PATH_MAX];
	struct engine_settings settings = cluster_settings(config);
	int count = engine_files(&settings, files, err);

	if (count < 0)
		return -1;
	sandbox->role = SANDBOX_REACH;
	sandbox->empty_root = false; /* it reads those files later, by their names */
	sandbox->allow_connect = true;
	for (int i = 0; i < count; i++)
		sandbox_add_path(sandbox, files[i], SANDBOX_READ);
	for (size_t i = 0; i < sizeof(library_files) / sizeof(*library_files); i++)
		sandbox_add_path(sandbox, library_files[i], SANDBOX_READ);
	return 0;
}

/* ---- for a person ---- */

static void warn(const char *text)
{
	fprintf(stderr, "valijad: warning: rados: %s\n", text);
}

static int check(struct engine *engine, const struct config *config, struct err *err)
{
	struct engine_settings of = cluster_settings(config);
	int marked;

	if (health_check(engine, of.pool, of.bodies, config->rados_single_copy, warn, err) < 0 ||
	    health_try(engine, of.user, of.pool, of.bodies, err) < 0)
		return -1;
	marked = mark_look(engine, err);
	if (marked == 0)
		return err_set(err, EX_CONFIG,
			       "pool %s has no mark: it was never used by a site, or it is another "
			       "one. If it is the "
			       "pool of this site's mail: valija rados init",
			       of.pool);
	return marked < 0 ? -1 : 0;
}

static int check_cluster(const struct config *config, struct err *err)
{
	struct engine_settings settings = cluster_settings(config);
	struct engine *engine;
	int result = -1;

	if (!*config->rados_pool)
		return err_set(err, EX_CONFIG,
			       "the section rados names no pool: rados { pool = \"NAME\" }");
	if (cluster_become_keeper(config, err) < 0)
		return -1;
	engine = engine_create(&settings, NULL, CLUSTER_CONNECT_MS, err);
	if (engine && engine_connected(engine, err))
		result = check(engine, config, err);
	engine_destroy(engine);
	return result;
}

static int check_command(const char *file)
{
	struct config config;
	struct err err = {0};

	if (config_load(file, &config, &err) == 0 && check_cluster(&config, &err) == 0)
		return EX_OK;
	fprintf(stderr, "valijad: rados: %s\n", err.text);
	return err.code ? err.code : EX_CONFIG;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--child") == 0) {
		store_register(STORE_RADOS, store_rados_create);
		keeper_set_reach(reach);
		return child_main(CHILD_FD, roles);
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("valija-keeper-rados " VALIJA_VERSION);
		return EX_OK;
	}
	if (argc == 3 && strcmp(argv[1], "--check") == 0)
		return check_command(argv[2]);
	fprintf(stderr,
		"usage: valija-keeper-rados --check CONF\n"
		"valijad starts this program for maildrops in Ceph RADOS: see valija.conf(5)\n");
	return EX_USAGE;
}

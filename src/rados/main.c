/*
 * valija-keeper-rados: a child of valijad's monitor that keeps maildrops in Ceph RADOS. A program
 * of its own, so that librados is in no process but those that need it. Started by a person it
 * looks at a cluster for `valijad -t`, and marks the pools of a new site; it becomes the owner of
 * the mail folder for that.
 */
#include "build-config.h"
#include "config/config.h"
#include "maildrop/rados/engine/engine.h"
#include "maildrop/rados/health.h"
#include "maildrop/rados/mark.h"
#include "maildrop/rados/rados.h"
#include "server/child.h"
#include "server/keeper/keeper.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	CHILD_FD = 3,
	CONNECT_MS = 15000,
};

static const struct child_role *const roles[ROLE_COUNT] = {[ROLE_KEEPER] = &keeper_role};

static struct engine_settings settings_of(const struct config *config)
{
	return (struct engine_settings){
		.conf = config->rados_conf,
		.pool = config->rados_pool,
		.bodies = *config->rados_bodies ? config->rados_bodies : config->rados_pool,
		.user = config->rados_user,
	};
}

/* ---- as a keeper ---- */

/* Files that libraries read when they are used: names of hosts, the settings of libcrypto. */
static const char *const library_files[] = {
	"/etc/hosts",    "/etc/resolv.conf", "/etc/nsswitch.conf",  "/etc/host.conf",
	"/etc/gai.conf", "/etc/localtime",   "/etc/ssl/openssl.cnf"};

static int reach(const struct config *config, struct sandbox *sandbox, struct err *err)
{
	char files[ENGINE_FILES_MAX][ENGINE_PATH_MAX];
	struct engine_settings settings = settings_of(config);
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
	fprintf(stderr, "valijad: warning: %s\n", text);
}

/* Root becomes who the keeper will be: the keyring is to be readable for that user. */
static int become_keeper(const struct config *config, struct err *err)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (stat(config->roots[0].path, &st) < 0)
		return err_sys(err, EX_NOINPUT, errno, "%s", config->roots[0].path);
	if (st.st_uid == 0)
		return err_set(err, EX_CONFIG, "%s belongs to root: chown valija-rados: %s",
			       config->roots[0].path, config->roots[0].path);
	if (setgroups(0, NULL) < 0 || setgid(st.st_gid) < 0 || setuid(st.st_uid) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot become uid %u", (unsigned)st.st_uid);
	return 0;
}

static int check(struct engine *engine, const struct config *config, struct err *err)
{
	struct engine_settings of = settings_of(config);
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

static int init(struct engine *engine, const struct config *config, struct err *err)
{
	struct engine_settings of = settings_of(config);

	return health_check(engine, of.pool, of.bodies, config->rados_single_copy, warn, err) < 0 ||
			       health_try(engine, of.user, of.pool, of.bodies, err) < 0 ||
			       mark_make(engine, err) < 0
		       ? -1
		       : 0;
}

static int with_cluster(const struct config *config,
			int (*work)(struct engine *engine, const struct config *config,
				    struct err *err),
			struct err *err)
{
	struct engine_settings settings = settings_of(config);
	struct engine *engine;
	int result = -1;

	if (!*config->rados_pool)
		return err_set(err, EX_CONFIG,
			       "the section rados names no pool: rados { pool = \"NAME\" }");
	if (become_keeper(config, err) < 0)
		return -1;
	engine = engine_create(&settings, NULL, CONNECT_MS, err);
	if (engine && engine_connected(engine, err))
		result = work(engine, config, err);
	engine_destroy(engine);
	return result;
}

static int command(const char *what, const char *file)
{
	struct config config;
	struct err err = {0};
	int result = config_load(file, &config, &err);

	if (result == 0 && strcmp(what, "--check") == 0)
		result = with_cluster(&config, check, &err);
	else if (result == 0)
		result = with_cluster(&config, init, &err);
	if (result == 0)
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
	if (argc == 3 && (strcmp(argv[1], "--check") == 0 || strcmp(argv[1], "--init") == 0))
		return command(argv[1], argv[2]);
	fprintf(stderr,
		"usage: valija-keeper-rados --check CONF | --init CONF\n"
		"valijad starts this program for maildrops in Ceph RADOS: see valija.conf(5)\n");
	return EX_USAGE;
}

/* See maildrop.h: checks arguments, then calls the driver. */
#include "maildrop/maildrop.h"

#include "maildrop/driver.h"
#include "maildrop/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define HOME_MAX 1024
#define COMPONENT_MAX 255

/* A path that stays below its root whatever it is joined to. */
static bool home_valid(const char *home)
{
	size_t n;

	if (!*home || strnlen(home, HOME_MAX + 1) > HOME_MAX)
		return false;
	for (;; home += n + 1) {
		n = strcspn(home, "/");
		if (n == 0 || n > COMPONENT_MAX || (n == 1 && home[0] == '.') ||
		    (n == 2 && home[0] == '.' && home[1] == '.'))
			return false;
		if (!home[n])
			return true;
	}
}

static enum maildrop_status refuse_home(struct err *err)
{
	err_set(err, EX_CONFIG, "the path of the maildrop is not one below the root of the mail");
	return MAILDROP_PERM;
}

/* The maildrop belongs to the driver that opened it. */
static enum maildrop_status opened(const struct maildrop_settings *settings,
				   enum maildrop_status status, struct maildrop **ret)
{
	if (status == MAILDROP_OK)
		(*ret)->driver = settings->driver;
	return status;
}

enum maildrop_status maildrop_open(const struct maildrop_settings *settings, int root_fd,
				   const char *home, struct maildrop **ret, struct err *err)
{
	if (!home_valid(home))
		return refuse_home(err);
	return opened(settings, settings->driver->open(settings, root_fd, home, ret, err), ret);
}

enum maildrop_status maildrop_open_moving(const struct maildrop_settings *settings, int root_fd,
					  const char *home, struct maildrop **ret, bool *ret_partly,
					  struct err *err)
{
	*ret_partly = false;
	if (!home_valid(home))
		return refuse_home(err);
	if (settings->driver->open_moving)
		return opened(settings,
			      settings->driver->open_moving(settings, root_fd, home, ret,
							    ret_partly, err),
			      ret);
	err_set(err, EX_CONFIG, "maildrop %s: only a Maildir can be moved to (migrate=)", home);
	return MAILDROP_PERM;
}

enum maildrop_status maildrop_open_empty(const struct maildrop_settings *settings, const char *home,
					 struct maildrop **ret, struct err *err)
{
	if (!home_valid(home))
		return refuse_home(err);
	return opened(settings, settings->driver->open_empty(settings, home, ret, err), ret);
}

enum maildrop_status maildrop_make(const struct maildrop_settings *settings, int root_fd,
				   const char *home, struct err *err)
{
	if (!home_valid(home))
		return refuse_home(err);
	return settings->driver->make(settings, root_fd, home, err);
}

enum maildrop_status maildrop_open_now(const struct maildrop_settings *settings, int root_fd,
				       const char *home, struct maildrop **ret)
{
	/* a table that reads otherwise than the kernel is not passed by */
	if (!settings->local || !home_valid(home) ||
	    (settings->syscalls && settings->syscalls->openat != maildrop_kernel.openat))
		return MAILDROP_WAIT;
	return opened(settings, settings->driver->open_now(settings, root_fd, home, ret), ret);
}

int maildrop_folder(int root_fd, const char *home, struct err *err)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	char component[COMPONENT_MAX + 1];
	int dir = root_fd;

	if (!home_valid(home))
		return refuse_home(err), -1;
	for (const char *at = home; *at;) {
		size_t n = strcspn(at, "/");
		int next, saved;

		memcpy(component, at, n);
		component[n] = '\0';
		next = openat(dir, component, flags);
		saved = errno;
		if (dir != root_fd)
			close(dir);
		if (next < 0)
			return err_sys(err, EX_NOINPUT, saved, "maildrop %s", home);
		dir = next;
		at += n + (at[n] == '/');
	}
	return dir;
}

void maildrop_close(struct maildrop *maildrop)
{
	if (maildrop)
		maildrop->driver->close(maildrop);
}

void maildrop_snapshot(const struct maildrop *maildrop, struct maildrop_snapshot *ret)
{
	*ret = maildrop->snapshot;
}

enum maildrop_status maildrop_body(struct maildrop *maildrop, uint32_t number,
				   struct maildrop_body *ret, struct err *err)
{
	if (number < 1 || number > maildrop->snapshot.count) {
		err_set(err, EX_SOFTWARE, "no such message");
		return MAILDROP_GONE;
	}
	return maildrop->driver->body(maildrop, number, ret, err);
}

enum maildrop_status maildrop_body_now(struct maildrop *maildrop, uint32_t number,
				       struct maildrop_body *ret)
{
	if (number < 1 || number > maildrop->snapshot.count)
		return MAILDROP_WAIT; /* maildrop_body says what is wrong with it */
	return maildrop->driver->body_now(maildrop, number, ret);
}

bool maildrop_gives_values(const struct maildrop *maildrop)
{
	return maildrop->driver->values != NULL;
}

enum maildrop_status maildrop_values(struct maildrop *maildrop,
				     const struct maildrop_values *values, struct err *err)
{
	if (values->first < 1 || values->first > maildrop->snapshot.count ||
	    values->count > maildrop->snapshot.count - values->first + 1) {
		err_set(err, EX_SOFTWARE, "no such message");
		return MAILDROP_GONE;
	}
	return maildrop->driver->values(maildrop, values, err);
}

bool maildrop_body_wrong(struct maildrop *maildrop, uint32_t number, struct err *err)
{
	return number >= 1 && number <= maildrop->snapshot.count &&
	       maildrop->driver->body_wrong(maildrop, number, err);
}

void maildrop_attribute(struct maildrop *maildrop, const struct deleted_by *by)
{
	if (maildrop->driver->attribute)
		maildrop->driver->attribute(maildrop, by);
}

enum maildrop_status maildrop_commit(struct maildrop *maildrop, const uint32_t *numbers,
				     uint32_t count, struct err *err)
{
	for (uint32_t i = 0; i < count; i++) {
		if (numbers[i] < 1 || numbers[i] > maildrop->snapshot.count ||
		    (i && numbers[i] <= numbers[i - 1])) {
			err_set(err, EX_SOFTWARE, "deletions are not of this session");
			return MAILDROP_TEMP;
		}
	}
	if (count == 0)
		return MAILDROP_OK;
	return maildrop->driver->commit(maildrop, numbers, count, err);
}

void maildrop_sweep(struct maildrop *maildrop)
{
	while (maildrop_sweep_slice(maildrop, NULL)) {
	}
}

bool maildrop_sweep_slice(struct maildrop *maildrop, const atomic_bool *hurry)
{
	return maildrop->driver->sweep(maildrop, hurry);
}

bool maildrop_at_rest(const struct maildrop *maildrop)
{
	return maildrop->driver->at_rest(maildrop);
}

enum maildrop_status maildrop_undelete(struct maildrop *maildrop, struct undelete *undelete,
				       struct err *err)
{
	if (maildrop->driver->undelete)
		return maildrop->driver->undelete(maildrop, undelete, err);
	err_set(err, EX_UNAVAILABLE, "deleted messages are kept in Maildirs only");
	return MAILDROP_PERM;
}

enum maildrop_status maildrop_expire(struct maildrop *maildrop, bool dry_run,
				     maildrop_expired *each, void *context, struct err *err)
{
	if (!maildrop->driver->expire)
		return MAILDROP_OK;
	return maildrop->driver->expire(maildrop, dry_run, each, context, err);
}

void maildrop_index_wrong(struct maildrop *maildrop)
{
	maildrop->driver->index_wrong(maildrop);
}

enum maildrop_status maildrop_usage(const struct maildrop_settings *settings, int root_fd,
				    const char *home, struct maildrop_usage *ret, struct err *err)
{
	if (!home_valid(home))
		return refuse_home(err);
	return settings->driver->usage(settings, root_fd, home, ret, err);
}

enum maildrop_status maildrop_deliver(const struct maildrop_settings *settings, int root_fd,
				      const char *home, const struct maildrop_delivery *delivery,
				      struct err *err)
{
	if (!home_valid(home))
		return refuse_home(err);
	return settings->driver->deliver(settings, root_fd, home, delivery, err);
}

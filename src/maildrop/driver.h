/*
 * The duties of a kind of store that blocks, to maildrop.h, which checks arguments and then asks
 * the driver, and to store_threads.h. A driver's own struct begins with a struct maildrop; so does
 * that of a store without a driver.
 */
#ifndef MAILDROP_DRIVER_H
#define MAILDROP_DRIVER_H

#include "maildrop/maildrop.h"

struct deleted_by;
struct undelete;
struct store;
struct store_where;

struct maildrop {
	const struct maildrop_driver *driver; /* set by maildrop.c; NULL: a store without one */
	struct maildrop_snapshot snapshot;    /* set by open */
	struct store *store;                  /* set by store.c, as all below */
	struct store_where *where;
	void *owner; /* NULL: nobody wants its events yet */
};

struct maildrop_driver {
	bool retains; /* it does what struct maildrop_retention says */
	enum maildrop_status (*open)(const struct maildrop_settings *settings, int root_fd,
				     const char *home, struct maildrop **ret, struct err *err);
	enum maildrop_status (*open_empty)(const struct maildrop_settings *settings,
					   const char *home, struct maildrop **ret,
					   struct err *err);
	enum maildrop_status (*make)(const struct maildrop_settings *settings, int root_fd,
				     const char *home, struct err *err);
	enum maildrop_status (*open_now)(const struct maildrop_settings *settings, int root_fd,
					 const char *home, struct maildrop **ret);
	void (*close)(struct maildrop *maildrop);
	/* numbers are checked */
	enum maildrop_status (*body)(struct maildrop *maildrop, uint32_t number,
				     struct maildrop_body *ret, struct err *err);
	enum maildrop_status (*body_now)(struct maildrop *maildrop, uint32_t number,
					 struct maildrop_body *ret);
	/* NULL: each message is a body */
	enum maildrop_status (*values)(struct maildrop *maildrop,
				       const struct maildrop_values *values, struct err *err);
	bool (*body_wrong)(struct maildrop *maildrop, uint32_t number, struct err *err);
	/* NULL: it has no journal of deletions */
	void (*attribute)(struct maildrop *maildrop, const struct deleted_by *by);
	/* NULL: nothing is deleted for its age */
	enum maildrop_status (*expire)(struct maildrop *maildrop, bool dry_run,
				       maildrop_expired *each, void *context, struct err *err);
	/* NULL: nothing is kept */
	enum maildrop_status (*undelete)(struct maildrop *maildrop, struct undelete *undelete,
					 struct err *err);
	enum maildrop_status (*commit)(struct maildrop *maildrop, const uint32_t *numbers,
				       uint32_t count, struct err *err);
	bool (*sweep)(struct maildrop *maildrop, const atomic_bool *hurry);
	bool (*at_rest)(const struct maildrop *maildrop);
	void (*index_wrong)(struct maildrop *maildrop);
	enum maildrop_status (*usage)(const struct maildrop_settings *settings, int root_fd,
				      const char *home, struct maildrop_usage *ret,
				      struct err *err);
	/* NULL: no maildrop of this kind moves here from another server while that lives */
	enum maildrop_status (*open_moving)(const struct maildrop_settings *settings, int root_fd,
					    const char *home, struct maildrop **ret,
					    bool *ret_partly, struct err *err);
	enum maildrop_status (*deliver)(const struct maildrop_settings *settings, int root_fd,
					const char *home, const struct maildrop_delivery *delivery,
					struct err *err);
};

#endif

/*
 * What a kind of store has to do for maildrop.h, which checks arguments and then asks the driver.
 * A driver's own struct begins with a struct maildrop.
 */
#ifndef MAILDROP_DRIVER_H
#define MAILDROP_DRIVER_H

#include "maildrop/maildrop.h"

struct maildrop {
	const struct maildrop_driver *driver; /* set by maildrop.c */
	struct maildrop_snapshot snapshot;    /* set by open */
};

struct maildrop_driver {
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
	bool (*body_wrong)(struct maildrop *maildrop, uint32_t number, struct err *err);
	enum maildrop_status (*commit)(struct maildrop *maildrop, const uint32_t *numbers,
				       uint32_t count, struct err *err);
	bool (*sweep)(struct maildrop *maildrop, const atomic_bool *hurry);
	bool (*at_rest)(const struct maildrop *maildrop);
	void (*index_wrong)(struct maildrop *maildrop);
	enum maildrop_status (*usage)(const struct maildrop_settings *settings, int root_fd,
				      const char *home, struct maildrop_usage *ret,
				      struct err *err);
	enum maildrop_status (*deliver)(const struct maildrop_settings *settings, int root_fd,
					const char *home, const struct maildrop_delivery *delivery,
					struct err *err);
};

#endif

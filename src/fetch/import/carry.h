/* Writes what was found: sections of the configuration file, and the unique ids into journals. For
 * import.c, as the user. */
#ifndef FETCH_IMPORT_CARRY_H
#define FETCH_IMPORT_CARRY_H

#include "fetch/account/config_file.h"
#include "fetch/import/found.h"

struct carry {
	struct import *im;
	const char *program; /* "mpop" */
	const char *config;  /* the file that gets the sections; made if it is missing */
	const char *state;   /* the state folder; NULL: the configuration's or the default one */
	bool ask;            /* passwords that have to be typed are asked for (a dry run) */
	struct fetch_config read;              /* the new configuration */
	const struct fetch_account **accounts; /* those of im in it, NULL: skipped */
	uint32_t *known;                       /* of each: ids that came into the journal */
};

/* The journals are there before the configuration names their accounts: what runs meanwhile
 * collects nothing twice. -1: the configuration is as it was. */
int carry_over(struct carry *carry, struct err *err);
void carry_finish(struct carry *carry);
/* Pure: the section of an account as text, to be freed. NULL: no memory. */
char *carry_section(const struct import_account *account, const char *password_file);
/* The path of the new file for the password, beside the configuration. */
int carry_password_file(const char *config, const char *name, char *ret, size_t size);

#endif

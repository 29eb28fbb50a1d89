/* The parts of a configuration of Exim that hands its mail to valijad and asks it: texts, and the
 * places where Debian's exim4-config has them. */
#ifndef CLI_EXIM_PARTS_H
#define CLI_EXIM_PARTS_H

#include "config/config.h"

#define EXIM_FOLDER "/etc/exim4"
#define EXIM_ACL EXIM_FOLDER "/valija_rcpt_acl"
/* Around each text. */
#define EXIM_BEGIN "# valija: begin\n"
#define EXIM_END "# valija: end\n"

enum {
	EXIM_PART_MAX = 8 * 1024,
	EXIM_PARTS_MAX = 5,
};

struct exim_part {
	const char *path;   /* its own file */
	const char *behind; /* the line of the template that it stands behind; "": at the top; NULL:
			       it is a file in both schemes */
	char text[EXIM_PART_MAX];
};

struct exim_parts {
	struct exim_part parts[EXIM_PARTS_MAX];
	size_t count;
};

/* Makes the parts for the sockets and domains of a configuration. -1 with err: one that Exim needs
 * is not there. */
int exim_parts_make(const struct config *config, struct exim_parts *ret, struct err *err);

#endif

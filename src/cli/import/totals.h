/* Counts of a call of `valija import`, said user by user and at its end. For the files of this
 * folder and its rooms. */
#ifndef CLI_IMPORT_TOTALS_H
#define CLI_IMPORT_TOTALS_H

#include "cli/import/request.h"
#include "maildrop/adopt_report.h"

/* A line about a user. */
void totals_say(const struct person *person, const char *text);
/* One maildrop whose ids were to be brought, or taken back. */
void totals_count(struct import_request *request, const struct person *person,
		  const struct adopt_report *report);
void totals_count_back(struct import_request *request, const struct person *person,
		       const struct undo_report *report);
void totals_print(const struct import_request *request);

#endif

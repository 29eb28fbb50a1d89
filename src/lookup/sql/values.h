/* The parameters that stand for one spelling of a name. Pure. In worker threads. */
#ifndef LOOKUP_SQL_VALUES_H
#define LOOKUP_SQL_VALUES_H

#include "lookup/sql/backend.h"

/* name: which spelling it is. address and service must outlive it. False: it is no UTF-8, so no
 * text of a database is equal to it. */
bool sql_values_set(struct sql_values *values, const char *text, unsigned name, const char *address,
		    const char *service);
void sql_values_copy(struct sql_values *to, const struct sql_values *from);

#endif

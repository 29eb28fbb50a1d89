/*
 * The fetch process confines itself before it connects to a server: Landlock to its state, its sink
 * and the files that name look-up and TLS read; seccomp. Rules that the kernel lacks are left out.
 */
#ifndef FETCH_CONFINE_H
#define FETCH_CONFINE_H

#include "base/err.h"
#include "fetch/account/account.h"

struct sandbox_program;

/* state_dir: open descriptor. */
int fetch_confine(const struct fetch_account *account, int state_dir,
		  const struct sandbox_program *program, struct err *err);

#endif

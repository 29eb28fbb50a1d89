/*
 * Messages of a store that blocks, in the form in which a keeper lends them: small ones by value,
 * checked to be what was announced; a large one as a descriptor, if its filesystem can be read
 * without waiting, else in slices. For store_threads.c; in its workers, the …_now on the loop.
 */
#ifndef MAILDROP_STORE_BODIES_H
#define MAILDROP_STORE_BODIES_H

#include "maildrop/store.h"

bool store_bodies_now(struct maildrop *maildrop, struct store_fetch *op);
void store_bodies(struct maildrop *maildrop, struct store_fetch *op);
void store_bodies_slice(struct maildrop *maildrop, struct store_slice *op);

#endif

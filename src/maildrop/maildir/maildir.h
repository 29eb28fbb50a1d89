/*
 * The store for Maildirs: the door to everything in this folder.
 */
#ifndef MAILDROP_MAILDIR_MAILDIR_H
#define MAILDROP_MAILDIR_MAILDIR_H

#include "maildrop/driver.h"

extern const struct maildrop_driver maildir_driver;

#endif

/*
 * mutant.h: rules that a test can switch off, one at a time, to show that it would notice.
 *
 * GLIS_MUTANT(name) stands where a rule is kept, and is the constant false in the product: nothing
 * of it is left there. The simulator has a build of its own (GLIS_MUTANTS) in which it is true for
 * the one mutant that was chosen at run time; tests/sim/mutants.h, which that build puts before
 * each file, has their table. A mutant must be killed: some simulated world must find that it
 * breaks a promise.
 */
#ifndef GLIS_BASE_MUTANT_H
#define GLIS_BASE_MUTANT_H

#ifdef GLIS_MUTANTS
/* Counts each time that the place is met with the mutant chosen. */
#define GLIS_MUTANT(name) (__builtin_expect(mutant_chosen == MUTANT_##name, 0) && ++mutant_met)
#else
#define GLIS_MUTANT(name) false
#endif

#endif

//! One suite that every kind of pool passes.
//!
//! A row is a function that gets a [`Kind`]; the table below says which kinds it is for. Rows `in_processes` need
//! something that can be killed, or that runs beside its caller: they are left out for the inline pool. Rows `but_caged`
//! execute programs, open files of `/proc`, or have no sandbox: they are left out for workers in one.

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod carried;
mod failures;
mod files;
mod gate;
mod handles;
mod hostile;
mod journal;
mod lazy;
mod life;
mod payloads;
mod process;
mod timeouts;
mod workers;

use support::Kind;

macro_rules! rows_of {
    ($name:ident, $kind:expr, $($file:ident::$row:ident)*) => {
        mod $name {
            use super::*;
            $(
                #[test]
                fn $row() {
                    let name = concat!(stringify!($name), "::", stringify!($row));
                    support::watched(name, || $file::$row($kind));
                }
            )*
        }
    };
}

macro_rules! suite {
    (
        everywhere { $($file:ident::$row:ident)* }
        everywhere_but_caged { $($free_file:ident::$free:ident)* }
        in_processes { $($only_file:ident::$only:ident)* }
        in_processes_but_caged { $($only_free_file:ident::$only_free:ident)* }
    ) => {
        rows_of!(inline, Kind::Inline, $($file::$row)* $($free_file::$free)*);
        rows_of!(caged_2, Kind::Caged(2), $($file::$row)* $($only_file::$only)*);
        rows_of!(forkserver_1, Kind::Forkserver(1), $($file::$row)* $($free_file::$free)* $($only_file::$only)* $($only_free_file::$only_free)*);
        rows_of!(forkserver_3, Kind::Forkserver(3), $($file::$row)* $($free_file::$free)* $($only_file::$only)* $($only_free_file::$only_free)*);
        rows_of!(spawn_1, Kind::Spawn(1), $($file::$row)* $($free_file::$free)* $($only_file::$only)* $($only_free_file::$only_free)*);
        rows_of!(spawn_2, Kind::Spawn(2), $($file::$row)* $($free_file::$free)* $($only_file::$only)* $($only_free_file::$only_free)*);
    };
}

suite! {
    everywhere {
        carried::items_carry_handles
        carried::single_tasks_and_nested_fields_carry_handles
        carried::contexts_carry_handles
        carried::handles_of_an_item_without_its_context_are_closed
        carried::handles_that_cannot_travel_are_the_items_failure
        files::files_travel_in_chunks
        files::files_and_other_handles_go_together
        files::an_item_takes_as_many_files_as_fit
        files::an_item_with_files_is_encoded_once
        calls::map_keeps_the_order
        calls::every_call_takes_an_empty_iterator
        calls::try_map_gives_the_first_error_of_all
        calls::errors_of_tasks_are_their_outcomes
        calls::outcomes_tell_how_long_they_took
        calls::map_runs_all_and_gives_the_first_failure
        calls::a_context_is_shared_by_all_tasks
        calls::a_context_is_of_any_type
        calls::imap_gives_outcomes_in_order
        calls::imap_unordered_gives_each_outcome_once
        calls::one_task_is_applied_or_submitted
        calls::arguments_and_results_of_many_shapes
        calls::functions_of_every_form
        calls::chunks_of_any_size_give_the_same
        calls::threads_share_a_pool
        calls::one_call_feeds_another
        journal::what_is_recorded_is_not_run_again
        journal::every_call_takes_a_journal
        journal::what_failed_runs_again
        journal::items_that_are_the_same_have_a_record_each
        journal::context_and_identity_are_part_of_an_item
        journal::items_with_handles_are_never_recorded
        journal::results_of_another_type_run_again
        journal::large_values_are_recorded
        journal::the_disk_gets_it_while_the_call_waits
        journal::a_journal_that_cannot_be_written_ends_the_call
        lazy::items_are_pulled_as_they_are_needed
        lazy::no_more_items_are_in_flight_than_allowed
        lazy::no_more_bytes_are_in_flight_than_allowed
        lazy::an_iterator_without_end_is_fine
        lazy::an_iterator_may_panic
        lazy::an_iterator_may_go_on_after_a_panic
        lazy::an_iterator_may_wait_for_the_pool
        lazy::outcomes_may_be_left_alone
        payloads::bytes_of_any_size
        payloads::text_of_any_size
        payloads::values_of_any_size
        payloads::many_large_values_in_both_directions
        payloads::large_values_from_several_threads
        payloads::arguments_that_cannot_travel
        payloads::results_that_cannot_travel
        payloads::contexts_that_cannot_travel
        payloads::a_result_that_panics_on_its_way
        payloads::a_result_may_be_too_long
        payloads::an_outcome_that_panics_when_it_is_read_is_one_of_many
        failures::a_panic_tells_what_and_where
        failures::errors_keep_their_text
        failures::a_panic_may_carry_another
        handles::a_handle_waits
        handles::callbacks_are_called_once
        handles::a_callback_may_panic
        handles::join_waits_for_callbacks
        handles::a_handle_is_a_future
        handles::as_completed_gives_all
        handles::stats_count_outcomes
        life::a_closed_pool_takes_nothing
        life::a_terminated_pool_takes_nothing
        life::a_pool_may_be_dropped_in_a_callback
        life::several_pools_live_side_by_side
        workers::an_initializer_makes_the_state
        workers::the_initializers_argument_may_not_travel
    }
    everywhere_but_caged {
        calls::pools_nest
    }
    in_processes {
        workers::a_worker_is_idle_or_not
        carried::an_end_has_left_the_program_when_its_task_runs
        carried::handles_of_a_cancelled_task_are_closed
        carried::initializers_carry_handles
        carried::a_retried_task_has_its_handles_again
        carried::a_process_gets_the_handles_of_its_argument
        failures::every_way_to_end_a_worker_costs_one_task
        failures::a_crash_in_a_chunk_costs_one_item
        failures::a_crash_is_tried_again
        failures::an_error_that_may_pass_is_tried_again
        gate::tasks_start_apart
        gate::tasks_wait_for_memory
        gate::tasks_wait_for_the_load
        failures::tries_are_counted
        failures::standard_error_is_kept_for_the_failure
        failures::too_many_deaths_break_the_pool
        failures::workers_killed_from_outside_are_replaced
        timeouts::a_task_that_sleeps_is_ended
        timeouts::a_task_that_spins_is_ended
        timeouts::a_task_that_cannot_hear_is_killed
        timeouts::a_worker_that_stands_still_is_replaced
        timeouts::only_the_late_item_of_a_chunk_is_ended
        timeouts::a_late_task_is_tried_again
        timeouts::an_argument_may_travel_longer_than_a_task_may_run
        timeouts::a_slow_start_is_not_a_late_task
        timeouts::late_tasks_do_not_break_the_pool
        timeouts::limits_may_be_endless
        timeouts::a_call_has_a_limit
        timeouts::a_stream_has_a_limit
        handles::a_handle_waits_for_a_while
        handles::a_waiting_task_is_cancelled
        handles::a_running_task_is_cancelled
        handles::a_task_is_cancelled_while_its_worker_starts
        handles::a_large_argument_is_cancelled_on_its_way
        handles::as_completed_goes_by_the_end
        handles::wait_counts_what_is_ready
        handles::a_future_is_woken_from_elsewhere
        handles::a_waker_may_panic
        handles::a_task_is_cancelled_that_waits_in_a_worker_about_to_end
        handles::stats_show_what_waits_and_runs
        handles::an_idle_thread_sees_results_while_another_pulls
        life::join_finishes_what_was_handed_over
        life::close_lets_calls_go_on
        life::terminate_does_not_wait
        life::handles_outlive_their_pool
        life::a_stream_outlives_its_pool
        life::terminate_right_after_the_start
        workers::each_worker_is_initialized_once
        workers::a_failing_initializer_breaks_the_pool
        workers::an_initializer_may_fail_now_and_then
        workers::workers_are_recycled
        workers::workers_are_recycled_in_the_middle_of_a_chunk
        workers::contexts_are_forgotten
    }
    in_processes_but_caged {
        files::what_a_dead_worker_had_gets_its_files_again
        files::a_worker_gets_the_files_of_its_items_alone
        process::it_runs_and_ends
        process::its_end_is_told
        process::it_is_waited_for_or_not
        process::it_is_ended_by_signals
        process::a_daemon_ends_with_its_handle
        process::others_are_waited_for
        process::its_argument_may_be_large
        process::its_argument_may_not_travel
        process::its_children_end_with_it
        process::many_at_once
        workers::a_worker_has_no_input_and_a_name
        workers::what_a_task_leaves_behind_is_ended
        hostile::a_late_worker_breaks_its_ring
        hostile::a_worker_writes_into_the_bell
        hostile::a_worker_jams_the_event
        hostile::a_worker_breaks_its_ring_before_a_context_comes
        hostile::a_task_that_hides_that_it_runs_is_not_begun_for_ever
        hostile::a_task_that_hides_that_it_ran_does_not_kill_workers_for_ever
        hostile::a_worker_announces_more_than_it_may
    }
}

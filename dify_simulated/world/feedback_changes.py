"""What can happen to feedback and annotations."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from dify_simulated.world.rows import Annotation, AnnotationHit, Feedback
from dify_simulated.world.tables import Tables, whole_second

Rating = Literal["like", "dislike"]


class FeedbackChanges(Tables):
    """Verbs on what people say about messages; no timestamp of a message moves with them."""

    def give_feedback(
        self,
        message_id: str,
        rating: Rating,
        *,
        at: datetime,
        content: str | None = None,
        account_id: str | None = None,
    ) -> Feedback:
        """Rate a message, as the end user or (with an account) as an admin; again = change it."""
        with self.lock:
            message = self.messages[message_id]
            source = "user" if account_id is None else "admin"
            row = self._feedback(message_id, source)
            if row is None:
                row = Feedback(
                    id=self.new_id(),
                    app_id=message.app_id,
                    conversation_id=message.conversation_id,
                    message_id=message_id,
                    rating=rating,
                    from_source=source,
                    created_at=whole_second(at),
                    updated_at=at,
                    from_end_user_id=None if account_id else message.from_end_user_id,
                    from_account_id=account_id,
                )
                self.put_feedback(row)
            row.rating, row.content, row.updated_at = rating, content, at
            return row

    def _feedback(self, message_id: str, source: str) -> Feedback | None:
        rows = (self.feedbacks[row_id] for row_id in self.feedbacks_of_message[message_id])
        return next((row for row in rows if row.from_source == source), None)

    def withdraw_feedback(self, message_id: str, *, by_admin: bool = False) -> None:
        """Take a rating back: the row goes, no timestamp moves. KeyError without a rating."""
        with self.lock:
            source = "admin" if by_admin else "user"
            row = self._feedback(message_id, source)
            if row is None:
                raise KeyError(f"message {message_id} has no feedback from {source}")
            self.take_feedback(row.id)

    def annotate(
        self, message_id: str, *, at: datetime, content: str, account_id: str | None = None
    ) -> Annotation:
        """Write the better answer to a message; again = change it. No timestamp of it moves."""
        with self.lock:
            message = self.messages[message_id]
            held = self.annotation_of_message.get(message_id)
            if held is not None:
                row = self.annotations[held]
                row.content, row.updated_at = content, at
                return row
            row = Annotation(
                id=self.new_id(),
                app_id=message.app_id,
                question=message.query,
                content=content,
                account_id=account_id or self.apps[message.app_id].created_by,
                created_at=whole_second(at),
                updated_at=at,
                conversation_id=message.conversation_id,
                message_id=message_id,
            )
            self.put_annotation(row)
            return row

    def hit_annotation(self, annotation_id: str, message_id: str, *, at: datetime) -> AnnotationHit:
        """Let an annotation answer a message: its hit_count grows, nothing else tells."""
        with self.lock:
            annotation = self.annotations[annotation_id]
            annotation.hit_count += 1
            row = AnnotationHit(
                id=self.new_id(),
                app_id=annotation.app_id,
                annotation_id=annotation_id,
                message_id=message_id,
                account_id=annotation.account_id,
                score=0.93,
                created_at=whole_second(at),
            )
            self.put_annotation_hit(row)
            return row

"""Routes: fire."""

from fastapi import APIRouter

router = APIRouter(tags=["fire"])

"""The guests: each file or folder makes one model of somebody else speak our records. They translate, they never measure."""
